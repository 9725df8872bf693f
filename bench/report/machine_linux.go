package report

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// DescribeMachine describes the machine and the file system of dir.
func DescribeMachine(dir string) Machine {
	return Machine{
		CPU:        field("/proc/cpuinfo", "model name", ":"),
		Cores:      runtime.NumCPU(),
		MaxProcs:   runtime.GOMAXPROCS(0),
		Memory:     memory(),
		System:     strings.Trim(field("/etc/os-release", "PRETTY_NAME", "="), `"`),
		Kernel:     firstLine("/proc/sys/kernel/ostype") + " " + firstLine("/proc/sys/kernel/osrelease"),
		FileSystem: fileSystem(dir),
	}
}

// field finds the first "name<separator>value" line of a file.
func field(path, name, separator string) string {
	text, _ := os.ReadFile(path) // an unknown field stays empty
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, separator)
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func firstLine(path string) string {
	text, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func memory() string {
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) != nil {
		return ""
	}
	return fmt.Sprintf("%.0f GiB", float64(info.Totalram)*float64(info.Unit)/(1<<30))
}

func fileSystem(dir string) string {
	names := map[int64]string{
		0xef53:     "ext4", // ext2 and ext3 share the number
		0x58465342: "XFS",
		0x9123683e: "btrfs",
		0x01021994: "tmpfs",
		0x794c7630: "overlayfs",
		0x2fc12fc1: "ZFS",
	}
	var info syscall.Statfs_t
	if syscall.Statfs(dir, &info) != nil {
		return ""
	}
	if name, ok := names[int64(info.Type)]; ok {
		return name
	}
	return fmt.Sprintf("type %#x", info.Type)
}
