package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/windevkay/forge/genie/bench/chart"
	"github.com/windevkay/forge/genie/bench/report"
)

// draw writes the overview and draws every chart in every theme, even if a chart has no figures, as after
// a run of some tasks.
func draw(s settings) error {
	results, err := report.Read(s.file("json"))
	if err != nil {
		return err
	}
	var problems []error
	if s.name() == completeName && len(results.Sizes) > 0 {
		problems = append(problems, results.WriteOverview(filepath.Join(s.out, "overview.md")))
	}
	for _, c := range chart.Charts(results) {
		for _, theme := range chart.Themes {
			problems = append(problems, drawOne(s, results, c, theme))
		}
	}
	return errors.Join(problems...)
}

func drawOne(s settings, results *report.Results, c chart.Chart, theme chart.Theme) error {
	svg, err := c.SVG(results, theme)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.out, chartFile(s, c, theme)), svg, 0o644)
}

func chartFile(s settings, c chart.Chart, theme chart.Theme) string {
	file := fmt.Sprintf("%s-%s.svg", c.Name, theme.Name)
	if s.name() != completeName {
		file = s.name() + "-" + file
	}
	return file
}
