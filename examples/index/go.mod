module github.com/windevkay/forge/genie/examples/index

go 1.26

replace github.com/windevkay/forge/genie => ../..

require (
	github.com/tidwall/btree v1.8.1
	github.com/windevkay/forge/genie v0.0.0
)

require (
	github.com/go-json-experiment/json v1.27.2 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

// Test dependencies.
require (
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
)
