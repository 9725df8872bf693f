package blob

import (
	"errors"
	"io/fs"
)

// An absentError is an error of a bucket that has io/fs.ErrNotExist in its chain, as where a file with
// credentials is missing. It is not io/fs.ErrNotExist: that must mean that there is no copy. All else
// that its cause is, it is, too.
type absentError struct{ err error }

func (e *absentError) Error() string { return e.err.Error() }

// Is and As look at the cause in the place of Unwrap, with which errors.Is would find io/fs.ErrNotExist.
func (e *absentError) Is(target error) bool {
	return target != fs.ErrNotExist && errors.Is(e.err, target)
}
func (e *absentError) As(target any) bool { return errors.As(e.err, target) }

// named gives an error of a bucket the names that this package promises: one that says that access is
// refused is io/fs.ErrPermission, and none is io/fs.ErrNotExist.
func named(err error) error {
	if isDenied(err) && !errors.Is(err, fs.ErrPermission) {
		err = &deniedError{err}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = &absentError{err}
	}
	return err
}
