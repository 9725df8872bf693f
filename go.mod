module github.com/windevkay/forge/genie

go 1.26
