package s3test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// These tests are the negative controls of the others: a fault that did nothing would let
// all of them pass.

func put(ctx context.Context, c *s3.Client, key string, body []byte) error {
	_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: &key, Body: bytes.NewReader(body)})
	return err
}

func get(ctx context.Context, c *s3.Client, key string) ([]byte, error) {
	answer, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key})
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}

// body is larger than the buffers between client and server, so half of it is seen to be half.
var body = bytes.Repeat([]byte("0123456789abcdef"), 1<<16)

func TestProxyPassesEverything(t *testing.T) {
	s := newStage(t)
	ctx := t.Context()
	require.NoError(t, put(ctx, s.client, "folder/key", body))
	require.NoError(t, put(ctx, s.client, "empty", nil))
	for _, client := range []*s3.Client{s.client, s.direct} {
		got, err := get(ctx, client, "folder/key")
		require.NoError(t, err)
		require.Equal(t, body, got)
		got, err = get(ctx, client, "empty")
		require.NoError(t, err)
		require.Empty(t, got)
	}
	_, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(bucketName), Key: aws.String("empty")})
	require.NoError(t, err)
	_, err = s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: aws.String("empty")})
	require.NoError(t, err)
	_, err = get(ctx, s.client, "empty")
	require.Equal(t, "NoSuchKey", codeOf(err))
	require.Equal(t, []Request{
		{PutObject, "folder/key"}, {PutObject, "empty"}, {GetObject, "folder/key"}, {GetObject, "empty"},
		{HeadObject, "empty"}, {DeleteObject, "empty"}, {GetObject, "empty"},
	}, s.proxy.Requests())
}

func codeOf(err error) string {
	if coded, ok := errors.AsType[smithy.APIError](err); ok {
		return coded.ErrorCode()
	}
	return ""
}

// seen is the effect of a fault, as the client and the server see it.
type seen struct {
	fault    Fault
	put, get func(t *testing.T, err error)
	stored   bool // the server has the object afterwards
}

// isSevered is for a reset while the client still writes: it sees a reset, a broken pipe, or
// that it has closed the connection itself. No answer has come.
func isSevered(t *testing.T, err error) {
	require.Error(t, err)
	require.Empty(t, codeOf(err), err)
}

func isReset(t *testing.T, err error) { require.ErrorIs(t, err, syscall.ECONNRESET) }

func isCut(t *testing.T, err error) { require.ErrorIs(t, err, io.ErrUnexpectedEOF) }

// isEnded is for an answer without a body that is cut: the connection ends.
func isEnded(t *testing.T, err error) { require.ErrorIs(t, err, io.EOF) }

func isCode(code string) func(*testing.T, error) {
	return func(t *testing.T, err error) { require.Equal(t, code, codeOf(err), err) }
}

func isNil(t *testing.T, err error) { require.NoError(t, err) }

// brief are the faults that end on their own.
var brief = []seen{
	{ResetRequest, isSevered, isReset, false},
	{ResetAnswer, isReset, isReset, true},
	{CutRequest, isSevered, isReset, false},
	{CutAnswer, isEnded, isCut, true},
	{Slow, isNil, isNil, true},
	{InternalError, isCode("InternalError"), isCode("InternalError"), false},
	{SlowDown, isCode("SlowDown"), isCode("SlowDown"), false},
	{AccessDenied, isCode("AccessDenied"), isCode("AccessDenied"), false},
	{ExpiredToken, isCode("ExpiredToken"), isCode("ExpiredToken"), false},
	{ExpiredForbidden, isCode("ExpiredToken"), isCode("ExpiredToken"), false},
}

func TestFaults(t *testing.T) {
	s := newStage(t)
	ctx := t.Context()
	require.NoError(t, put(ctx, s.direct, "there", body))
	for _, want := range brief {
		t.Run(want.fault.Name, func(t *testing.T) {
			struck := s.proxy.Arm(want.fault, 1)
			want.put(t, put(ctx, s.client, want.fault.Name, body))
			requireClosed(t, struck)
			got, err := get(ctx, s.direct, want.fault.Name)
			if want.stored {
				require.NoError(t, err)
				require.Equal(t, body, got)
			} else {
				require.Equal(t, "NoSuchKey", codeOf(err))
			}

			s.proxy.Arm(want.fault, 1)
			got, err = get(ctx, s.client, "there")
			want.get(t, err)
			if err != nil {
				require.Less(t, len(got), len(body))
			}
			got, err = get(ctx, s.client, "there")
			require.NoError(t, err, "the fault is over")
			require.Equal(t, body, got)
		})
	}
}

func requireClosed(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		require.FailNow(t, "the fault has not struck")
	}
}

func TestStalls(t *testing.T) {
	s := newStage(t)
	require.NoError(t, put(t.Context(), s.direct, "there", body))
	for _, fault := range []Fault{StallRequest, StallAnswer} {
		t.Run(fault.Name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			struck := s.proxy.Arm(fault, 1)
			done := make(chan error, 1)
			go func() {
				_, err := get(ctx, s.client, "there")
				done <- err
			}()
			requireClosed(t, struck)
			select {
			case err := <-done:
				require.FailNow(t, "the stall has ended", err)
			case <-time.After(50 * time.Millisecond): // longer than a get takes
			}
			cancel()
			require.ErrorIs(t, <-done, context.Canceled)
		})
	}
}

// A stall ends with the next call of Arm, and a client without a deadline goes on.
func TestDisarmEndsStalls(t *testing.T) {
	s := newStage(t)
	struck := s.proxy.Arm(StallRequest, 1)
	done := make(chan error, 1)
	go func() { done <- put(t.Context(), s.client, "key", body) }()
	requireClosed(t, struck)
	s.proxy.Disarm()
	require.Error(t, <-done)
}

func TestSlowIsSlow(t *testing.T) {
	s := newStage(t)
	require.NoError(t, put(t.Context(), s.direct, "there", body))
	s.proxy.ArmFrom(Slow, 1)
	began := time.Now()
	require.NoError(t, put(t.Context(), s.client, "key", body))
	_, err := get(t.Context(), s.client, "key")
	require.NoError(t, err)
	pauses := 2 * len(body) / (16 << 10) // one for each piece, both ways
	require.GreaterOrEqual(t, time.Since(began), time.Duration(pauses)*time.Millisecond)
}

func TestArmCountsRequests(t *testing.T) {
	s := newStage(t)
	ctx := t.Context()
	outcomes := func() (codes []string) {
		for range 3 {
			codes = append(codes, codeOf(put(ctx, s.client, "key", nil)))
			_, err := get(ctx, s.client, "key")
			codes = append(codes, codeOf(err))
		}
		return codes
	}
	s.proxy.Arm(SlowDown, 2)
	require.Equal(t, []string{"", "SlowDown", "", "", "", ""}, outcomes())
	s.proxy.Arm(SlowDown, 2, PutObject)
	require.Equal(t, []string{"", "", "SlowDown", "", "", ""}, outcomes())
	s.proxy.ArmFrom(SlowDown, 2, PutObject)
	require.Equal(t, []string{"", "", "SlowDown", "", "SlowDown", ""}, outcomes())
	s.proxy.ArmFrom(SlowDown, 4)
	require.Equal(t, []string{"", "", "", "SlowDown", "SlowDown", "SlowDown"}, outcomes())
	never := s.proxy.Arm(SlowDown, 7)
	require.Equal(t, []string{"", "", "", "", "", ""}, outcomes())
	select {
	case <-never:
		require.FailNow(t, "a fault for the seventh request of six has struck")
	default:
	}
	require.Len(t, s.proxy.Requests(), 6)
}

// The server is real: it refuses each request that none of its own keys has signed.
func TestServerChecksCredentials(t *testing.T) {
	s := newStage(t)
	root := Root()
	unknown, wrong := root, root
	unknown.AccessKeyID, wrong.SecretAccessKey = "AKIASTRANGER", "another"
	forged := Temporary(time.Now())
	forged.SessionToken = "forged"
	for _, c := range []struct {
		name string
		as   aws.Credentials
		code string
	}{
		{"root", root, ""},
		{"unknown key", unknown, "InvalidAccessKeyId"},
		{"wrong secret", wrong, "SignatureDoesNotMatch"},
		{"temporary", Temporary(time.Now().Add(time.Hour)), ""},
		{"expired", Temporary(time.Now().Add(-time.Hour)), "ExpiredToken"},
		{"forged token", forged, "InvalidToken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := NewClient(t, s.server.Address(), Always(c.as))
			// Of a large body, a server that refuses may not read all, and the client sees a
			// reset in place of the answer.
			require.Equal(t, c.code, codeOf(put(t.Context(), client, "key", nil)))
			_, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucketName)})
			require.Equal(t, c.code, codeOf(err))
		})
	}
	answer, err := http.Get("http://" + s.server.Address() + "/" + bucketName + "/key")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusForbidden, answer.StatusCode, "a request that is not signed")
	http.DefaultClient.CloseIdleConnections()
}

// The server does not outlive its parent.
func TestServerEndsWithItsInput(t *testing.T) {
	var server *Server
	t.Run("server", func(t *testing.T) {
		server = Start(t)
		conn, err := net.Dial("tcp", server.Address())
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	})
	require.True(t, server.process.ProcessState.Success(), "it has ended, and was not killed")
}

// Half of a body reaches the server before the cut.
func TestCutRequestReachesTheServer(t *testing.T) {
	var received int
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		defer close(ended)
		text, _ := io.ReadAll(r.Body) // ends with the cut, in one way or another
		received = len(text)
	}))
	t.Cleanup(server.Close)
	proxy := NewProxy(t, &Server{address: server.Listener.Addr().String()})
	proxy.Arm(CutRequest, 1)
	isSevered(t, put(t.Context(), NewClient(t, proxy.Address(), Always(Root())), "key", body))
	requireClosed(t, ended)
	require.Equal(t, len(body)/2, received)
}

// The search of TestMain sees a connection that a client has left open.
func TestIdleConnectionsAreSeen(t *testing.T) {
	s := newStage(t)
	before := goleak.IgnoreCurrent()
	transport := &http.Transport{}
	answer, err := (&http.Client{Transport: transport}).Get("http://" + s.server.Address())
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Error(t, goleak.Find(before))
	transport.CloseIdleConnections()
	require.NoError(t, goleak.Find(before))
}
