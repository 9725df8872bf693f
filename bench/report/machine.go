package report

import (
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// Machine describes the computer of a run, without a name.
type Machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	MaxProcs   int    `json:"gomaxprocs"`
	Memory     string `json:"memory"`
	System     string `json:"system"`
	Kernel     string `json:"kernel"`
	FileSystem string `json:"fileSystem"` // of the folder that backups went to
}

// Build describes the measured program.
type Build struct {
	Go      string   `json:"go"`
	Target  string   `json:"target"`
	Modules []Module `json:"modules"` // of the measured systems
}

// A Module is a dependency and its version.
type Module struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

// DescribeBuild reads the build information of this binary. The one replaced
// module is Genie, from this repository, without a version.
func DescribeBuild(measured []string) Build {
	build := Build{Go: runtime.Version(), Target: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build
	}
	for _, dependency := range info.Deps {
		if dependency.Replace != nil || !slices.Contains(measured, dependency.Path) {
			continue
		}
		build.Modules = append(build.Modules, Module{dependency.Path, dependency.Version})
	}
	slices.SortFunc(build.Modules, func(a, b Module) int { return strings.Compare(a.Path, b.Path) })
	return build
}
