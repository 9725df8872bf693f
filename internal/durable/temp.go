package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"regexp"
	"strings"
)

// The name of a temporary file is .NAME.tmp- and 16 hexadecimal digits. Nobody
// types such a name, so every file that has one may be swept.
var (
	tempOfAny  = regexp.MustCompile(`(?s)^\..+\.tmp-[0-9a-f]{16}$`)
	tempDigits = len("0123456789abcdef")
)

func (f *File) newTempName() string {
	return fmt.Sprintf("%s.%s.tmp-%016x", f.folder, f.name, rand.Uint64())
}

func (f *File) isTemp(name string) bool {
	return tempOfAny.MatchString(name) && name[:len(name)-tempDigits] == "."+f.name+".tmp-"
}

// createTemp makes a file beside the backup file, on the same file system, which
// a rename cannot leave.
func (f *File) createTemp() (h Handle, name string, err error) {
	for range attempts {
		name = f.newTempName()
		h, err = f.create(name)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return h, name, err
}

// create makes the file name, for the user's own eyes only.
func (f *File) create(name string) (Handle, error) {
	h, err := f.fs.Create(name)
	if err != nil {
		return nil, err
	}
	if err := makePrivate(h); err != nil {
		f.discard(h, name)
		return nil, err
	}
	return h, nil
}

// rightOwner describes the file whose owner a new file is to have: the backup
// file, or the hand-over file if that is all there is. It returns nil if neither
// exists.
func (f *File) rightOwner() (fs.FileInfo, error) {
	info, err := f.stat(f.path)
	if info == nil && err == nil {
		info, err = f.stat(f.HandOver())
	}
	return info, err
}

// keepOwner gives h the owner of the file that like describes, if there is one
// and the system permits it: a process that runs as root once must not lock the
// user out.
func keepOwner(h Handle, like fs.FileInfo) {
	if like != nil {
		_ = h.Chown(like) // a backup with another owner is better than none
	}
}

// private is the mode of every file that this package makes.
const private fs.FileMode = 0o600

// makePrivate changes another mode than 0600: a umask of 0777 leaves none of it,
// and file systems without modes (CIFS, vfat) give all rights to all. The latter
// refuse the change, which is forgiven where the user can read the file later.
func makePrivate(h Handle) error {
	info, err := h.Stat()
	if err != nil || info.Mode().Perm() == private {
		return err
	}
	err = h.Chmod(private)
	refused := errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported)
	if refused && info.Mode()&0o400 != 0 {
		return nil
	}
	return err
}

// usable reports whether the owner of a file may read and write it.
func usable(info fs.FileInfo) bool { return info.Mode()&private == private }

// discard removes a file that is not needed after all. Its errors are not
// reported: the next process sweeps.
func (f *File) discard(h Handle, name string) {
	h.Close()
	_ = f.fs.Remove(name)
}

// sweep removes the temporary files that dead processes have left. The caller
// has just locked the path, so no living process has any. A folder that may be
// searched but not listed keeps them.
func (f *File) sweep() error {
	names, err := f.fs.List(f.folder)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	for _, name := range names {
		if !f.isTemp(name) {
			continue
		}
		if info, err := f.stat(f.folder + name); err == nil && info != nil {
			_ = f.fs.Remove(f.folder + name)
		}
	}
	return nil
}

// keepCopy copies the file at path to Previous and returns the state that was
// copied, or nil if there is no file. A hard link is not to be had everywhere,
// and a rename would leave path without a file for a moment. A blank file is not
// copied: it must not replace one with contents.
func (f *File) keepCopy() (fs.FileInfo, error) {
	from, info, err := f.open(f.path)
	if from == nil {
		return nil, err
	}
	defer from.Close()
	contents, blank, err := peek(from, info)
	if err != nil || blank {
		return info, err
	}
	h, name, err := f.createTemp()
	if err != nil {
		return nil, err
	}
	keepOwner(h, info)
	if _, err = io.Copy(h, contents); err == nil {
		err = h.Sync()
	}
	if err == nil {
		err = f.keepPrevious(name)
	}
	if err != nil {
		f.discard(h, name)
		return nil, err
	}
	return info, h.Close()
}

// hasContents reports whether name exists and is not blank.
func (f *File) hasContents(name string) (bool, error) {
	info, err := f.stat(name)
	if err != nil || info == nil || info.Size() == 0 {
		return false, err
	}
	h, info, err := f.open(name)
	if h == nil {
		return false, err
	}
	defer h.Close()
	_, blank, err := peek(h, info)
	return !blank, err
}

// maxBlank is more space than an empty object is written with.
const maxBlank = 4096

// peek reports whether r, which info describes, is blank: space, or the empty
// JSON object. It returns a reader of the whole.
func peek(r io.Reader, info fs.FileInfo) (whole io.Reader, blank bool, err error) {
	if info.Size() > maxBlank {
		return r, false, nil
	}
	head, err := io.ReadAll(io.LimitReader(r, maxBlank))
	whole = io.MultiReader(bytes.NewReader(head), r)
	text := strings.Trim(string(head), jsonSpace)
	inner, opened := strings.CutPrefix(text, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	empty := opened && closed && strings.Trim(inner, jsonSpace) == ""
	return whole, text == "" || empty, err
}

const jsonSpace = " \t\r\n"
