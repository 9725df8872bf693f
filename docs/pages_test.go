// Package docs_test checks the pages: what README and docs/ say of names, files,
// commands and tests is compared with the source, and the recipes are run.
package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

const root = ".."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(text)
}

// section returns the text of a page below a heading, to the next heading.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(page, "\n## "+heading+"\n")
	require.True(t, found, "no section %q", heading)
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// The API.

// receivers are the names that README's tables give to values of a type.
var receivers = map[string]string{"Store": "store", "View": "view", "Tx": "tx"}

// exported returns the exported names of the package, as README writes them:
// genie.NewStore, store.Get. The methods of errors are those of every error.
func exported(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "*.go"))
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			names = append(names, declared(d)...)
		}
	}
	slices.Sort(names)
	return names
}

func declared(d ast.Decl) (names []string) {
	add := func(prefix string, all ...*ast.Ident) {
		for _, name := range all {
			if name.IsExported() {
				names = append(names, prefix+"."+name.Name)
			}
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			add("genie", d.Name)
		} else if receiver := receivers[typeName(d.Recv.List[0].Type)]; receiver != "" {
			add(receiver, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				add("genie", spec.Name)
			case *ast.ValueSpec:
				add("genie", spec.Names...)
			}
		}
	}
	return names
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

var qualified = regexp.MustCompile(`\b(genie|store|view|tx)\.[A-Z]\w*`)

func TestTheTableOfTheAPIIsComplete(t *testing.T) {
	shown := qualified.FindAllString(section(t, read(t, "README.md"), "The API"), -1)
	slices.Sort(shown)
	require.Equal(t, exported(t), slices.Compact(shown))
}

// Code in README, and in the comment of the package, is code that is compiled and run.
func TestReadmeShowsCodeThatRuns(t *testing.T) {
	examples, minimal := read(t, "store_test.go"), read(t, "examples/minimal/main.go")
	code := regexp.MustCompile("(?s)```go\n(.*?)```\n").FindAllStringSubmatch(read(t, "README.md"), -1)
	require.Len(t, code, 5)
	for _, block := range code {
		var inFunction strings.Builder
		for line := range strings.Lines(block[1]) {
			if line != "\n" {
				line = "\t" + line
			}
			inFunction.WriteString(line)
		}
		require.True(t, strings.Contains(minimal, block[1]) || strings.Contains(examples, inFunction.String()) || strings.Contains(minimal, inFunction.String()),
			"neither in an Example nor in examples/minimal:\n%s", block[1])
	}
}

// The table of durable writes is that of the kept run.
func TestTheTableOfDurableWritesIsKept(t *testing.T) {
	_, table, found := strings.Cut(read(t, "bench/results/durable.md"), "when it has returned\n\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	require.Contains(t, read(t, "README.md"), table)
}

var figure = regexp.MustCompile(`\d[\d.]* (?:ns|µs); \d[\d.]*`)

// Each figure of the table of calls is one of the kept run.
func TestTheTableOfCallsIsKept(t *testing.T) {
	kept, checked := read(t, "bench/results/ratios.md"), 0
	for _, cell := range figure.FindAllString(section(t, read(t, "README.md"), "Speed"), -1) {
		time, ratio, _ := strings.Cut(cell, "; ")
		require.Regexp(t, `\| `+regexp.QuoteMeta(time)+`[ ,].* actor with closures .*\| `+regexp.QuoteMeta(ratio)+` `, kept)
		checked++
	}
	require.Greater(t, checked, 20)
}

// Files.

var firstCell = regexp.MustCompile("(?m)^\\| `([^`]+)`")

// namedIn returns the names in the first column of a table.
func namedIn(text string) (names []string) {
	for _, row := range firstCell.FindAllStringSubmatch(text, -1) {
		names = append(names, row[1])
	}
	return names
}

// A store leaves files of these names and no others.
func TestTheTablesOfFilesAreComplete(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "NAME")
	found := map[string]bool{}
	look := func() {
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		for _, e := range entries {
			found[e.Name()] = true
		}
	}
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write(`{"a":"1"}`)
	store, err := genie.NewStore(genie.WithPath(path))
	require.NoError(t, err)
	look()
	write(`{"a":"edited"}`)
	require.NoError(t, store.Backup())
	look()
	names := slices.Sorted(maps.Keys(found))
	require.Equal(t, []string{"NAME", "NAME.loaded", "NAME.lock", "NAME.prev"}, names)

	_, table, found1 := strings.Cut(section(t, read(t, "README.md"), "The API"), "| files | |")
	require.True(t, found1)
	require.ElementsMatch(t, append(names, ".NAME.tmp-"), namedIn(table))
	require.ElementsMatch(t, append(names[1:], ".NAME.tmp-"), namedIn(section(t, read(t, "docs/format.md"), "The files beside it")))
}

// Links.

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset)="([^"]+)"`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notSlug = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

func anchors(page string) (all []string) {
	for _, h := range heading.FindAllStringSubmatch(page, -1) {
		all = append(all, strings.ReplaceAll(notSlug.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	return all
}

func TestLinksLeadSomewhere(t *testing.T) {
	checked := 0
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(name) != ".md" {
			return err
		}
		page := read(t, strings.TrimPrefix(name, root+"/"))
		for _, found := range link.FindAllStringSubmatch(page, -1) {
			target := found[1] + found[2]
			if strings.Contains(target, "://") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			to := name
			if file != "" {
				to = filepath.Join(filepath.Dir(name), file)
				_, err := os.Stat(to)
				require.NoError(t, err, "%s", name)
			}
			if anchor != "" {
				text, err := os.ReadFile(to)
				require.NoError(t, err)
				require.Contains(t, anchors(string(text)), anchor, "%s", name)
			}
			checked++
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, checked, 10)
}

// Promises.

var testName = regexp.MustCompile("`((?:Test|Fuzz|Example)\\w*)`")

// testsOf returns the names of all tests, fuzz targets and examples.
func testsOf(t *testing.T) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)
	all := map[string]bool{}
	require.NoError(t, filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, "_test.go") {
			for _, found := range declared.FindAllStringSubmatch(read(t, strings.TrimPrefix(name, root+"/")), -1) {
				all[found[1]] = true
			}
		}
		return err
	}))
	return all
}

// Every row of promises.md names a test that exists, or says that it has none.
func TestPromisesNameTheirTests(t *testing.T) {
	all, rows := testsOf(t), 0
	for line := range strings.Lines(read(t, "docs/promises.md")) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| promise |") {
			continue
		}
		rows++
		names := testName.FindAllStringSubmatch(line, -1)
		require.True(t, len(names) > 0 || strings.Contains(line, "| not tested"), "%s", line)
		for _, name := range names {
			require.True(t, all[name[1]], "no %s", name[1])
		}
	}
	require.Greater(t, rows, 20)
}

var recipeTitle = regexp.MustCompile(`(?m)^\*\*([^*]+)\.\*\*`)

// Every recipe of README has a row in promises.md.
func TestEveryRecipeIsListed(t *testing.T) {
	promises := read(t, "docs/promises.md")
	titles := recipeTitle.FindAllStringSubmatch(section(t, read(t, "README.md"), "Recipes"), -1)
	require.Greater(t, len(titles), 6)
	for _, title := range titles {
		require.Contains(t, promises, "recipe \""+title[1]+"\"")
	}
}

// Recipes.

// recipe returns the commands under a recipe's title in README.
func recipe(t *testing.T, title string) string {
	t.Helper()
	_, text, found := strings.Cut(read(t, "README.md"), "\n"+title)
	require.True(t, found, "no recipe %q", title)
	var commands strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "**") || strings.HasPrefix(line, "#") {
			break
		}
		if command, ok := strings.CutPrefix(line, "    "); ok && !strings.HasPrefix(command, "go install") {
			commands.WriteString(command)
		}
	}
	require.NotEmpty(t, commands.String())
	return commands.String()
}

// follow runs the commands of a recipe in folder, with the command genie.
func follow(t *testing.T, folder, title string) string {
	t.Helper()
	return execute(t, folder, recipe(t, title))
}

// execute runs commands in folder, with the command genie.
func execute(t *testing.T, folder, commands string) string {
	t.Helper()
	for _, need := range []string{"sh", "jq"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skip(err)
		}
	}
	binaries := t.TempDir()
	out, err := exec.Command("go", "build", "-o", binaries+string(filepath.Separator), root+"/cmd/genie").CombinedOutput()
	require.NoError(t, err, "%s", out)
	shell := exec.Command("sh", "-e", "-c", commands)
	shell.Dir = folder
	shell.Env = append(os.Environ(), "PATH="+binaries+string(filepath.ListSeparator)+os.Getenv("PATH"))
	out, err = shell.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

func open(t *testing.T, folder string) *genie.Store {
	t.Helper()
	store, err := genie.NewStore(genie.WithPath(filepath.Join(folder, "app.json")))
	require.NoError(t, err)
	return store
}

// closedWith leaves a backup with one entry in folder.
func closedWith(t *testing.T, folder, value string) {
	t.Helper()
	store := open(t, folder)
	store.Set("city", value)
	require.NoError(t, store.Close())
}

func TestRecipeLookAtABackup(t *testing.T) {
	folder := t.TempDir()
	closedWith(t, folder, "Oslo")
	store := open(t, folder) // its file is empty now
	require.Contains(t, follow(t, folder, "**Look at a backup.**"), `"city"`)
	require.NoError(t, store.Close())
}

func TestRecipeCopyAndRestore(t *testing.T) {
	folder := t.TempDir()
	closedWith(t, folder, "Oslo")
	copying, restoring, found := strings.Cut(recipe(t, "**Take a copy and restore it.**"), "\n")
	require.True(t, found)
	execute(t, folder, copying)
	closedWith(t, folder, "Bergen")
	require.Contains(t, execute(t, folder, restoring), "whole, 1 entry")
	store := open(t, folder)
	require.Equal(t, map[string]string{"city": "Oslo"}, store.Snapshot())
	require.NoError(t, store.Close())
	copied, err := os.ReadFile(filepath.Join(folder, "copy.json"))
	require.NoError(t, err)
	require.JSONEq(t, `{"city":"Oslo"}`, string(copied))
}

func TestRecipeGetBackAnEdit(t *testing.T) {
	folder := t.TempDir()
	store := open(t, folder)
	store.Set("city", "Oslo")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "app.json"), []byte(`{"city":"Bergen"}`), 0o600))
	require.NoError(t, store.Close())
	follow(t, folder, "**Get back what an editor has written.**")
	store = open(t, folder)
	require.Equal(t, map[string]string{"city": "Bergen"}, store.Snapshot())
	require.NoError(t, store.Close())
}

func TestRecipeStartAnew(t *testing.T) {
	folder := t.TempDir()
	closedWith(t, folder, "Oslo")
	for _, name := range []string{"app.json.loaded", "app.json.prev", ".app.json.tmp-0123456789abcdef"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(`{"old":"data"}`), 0o600))
	}
	follow(t, folder, "**Start anew.**")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1) // the lock
	store := open(t, folder)
	require.Zero(t, store.Len())
	require.NoError(t, store.Close())
}

func TestRecipeUpgradeFromVersion2(t *testing.T) {
	folder := t.TempDir()
	old := `{"name":"x","tries":3,"tags":["a"],"none":null}`
	require.NoError(t, os.WriteFile(filepath.Join(folder, "old.json"), []byte(old), 0o600))
	_, err := genie.NewStore(genie.WithPath(filepath.Join(folder, "old.json")))
	require.ErrorIs(t, err, genie.ErrCorrupt)
	require.ErrorContains(t, err, `"tries"`)
	follow(t, folder, "## Upgrading")
	store := open(t, folder)
	require.Equal(t, map[string]string{"name": "x", "tries": "3", "tags": `["a"]`, "none": "null"}, store.Snapshot())
	require.NoError(t, store.Close())
	kept, err := os.ReadFile(filepath.Join(folder, "old.json"))
	require.NoError(t, err)
	require.Equal(t, old, string(kept))
}

// Negative controls: the checks above see what is wrong.
func TestTheChecksSeeMistakes(t *testing.T) {
	require.Equal(t, []string{"a", "b"}, namedIn("| `a` | x |\n| `b` | `c` |\n"))
	require.NotContains(t, anchors("# A heading\n"), "another-heading")
	require.Contains(t, anchors("## What you can rely on\n"), "what-you-can-rely-on")
	require.Contains(t, exported(t), "store.Get")
	require.NotContains(t, exported(t), "store.view")
	require.False(t, testsOf(t)["Test"+"NoSuch"])
}
