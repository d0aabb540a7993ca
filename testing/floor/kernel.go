package floor

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-zeromq/zmq4"
)

// A Kernel is a bare client of a Jupyter kernel: it does nothing with what comes but to look for the end of a cell. It is
// for one goroutine.
type Kernel struct {
	shell, iopub zmq4.Socket
	key          []byte
	sent         int
}

// DialKernel connects to the kernel of a connection file. Its first cells may lack output, and so never end, for half a
// second: the kernel has to hear of the subscription; DialKernel waits for that.
func DialKernel(connection string) (*Kernel, error) {
	b, err := os.ReadFile(connection)
	if err != nil {
		return nil, err
	}
	var c struct {
		Transport, IP, Key string
		Shell              int `json:"shell_port"`
		IOPub              int `json:"iopub_port"`
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, err
	}
	k := &Kernel{zmq4.NewDealer(context.Background()), zmq4.NewSub(context.Background()), []byte(c.Key), 0}
	separator := ":"
	if c.Transport == "ipc" {
		separator = "-"
	}
	err = errors.Join(k.shell.Dial(fmt.Sprintf("%s://%s%s%d", c.Transport, c.IP, separator, c.Shell)),
		k.iopub.Dial(fmt.Sprintf("%s://%s%s%d", c.Transport, c.IP, separator, c.IOPub)))
	if err == nil {
		err = k.iopub.SetOption(zmq4.OptionSubscribe, "")
	}
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	time.Sleep(500 * time.Millisecond) // nothing tells
	return k, nil
}

// Close ends the connection.
func (k *Kernel) Close() error { return errors.Join(k.shell.Close(), k.iopub.Close()) }

// Run performs a cell and waits for its end.
func (k *Kernel) Run(code string) error {
	k.sent++
	id := fmt.Sprintf("floor_%d", k.sent)
	if err := k.send(id, code); err != nil {
		return err
	}
	if _, err := k.shell.Recv(); err != nil {
		return err
	}
	for {
		m, err := k.iopub.Recv()
		if err != nil {
			return err
		}
		if len(m.Frames) < 7 { // topic, mark, signature, header, parent, metadata, content
			continue
		}
		var parent struct {
			ID string `json:"msg_id"`
		}
		var content struct {
			State string `json:"execution_state"`
		}
		if json.Unmarshal(m.Frames[4], &parent) == nil && parent.ID == id && json.Unmarshal(m.Frames[6], &content) == nil && content.State == "idle" {
			return nil
		}
	}
}

func (k *Kernel) send(id, code string) error {
	header, err := json.Marshal(map[string]string{"msg_id": id, "session": "floor", "username": "floor", "date": time.Now().UTC().Format(time.RFC3339Nano),
		"msg_type": "execute_request", "version": "5.3"})
	if err != nil {
		return err
	}
	content, err := json.Marshal(map[string]any{"code": code, "silent": false, "store_history": false, "user_expressions": struct{}{},
		"allow_stdin": false, "stop_on_error": false})
	if err != nil {
		return err
	}
	frames := [][]byte{header, []byte("{}"), []byte("{}"), content}
	mac := hmac.New(sha256.New, k.key)
	for _, f := range frames {
		mac.Write(f)
	}
	return k.shell.SendMulti(zmq4.NewMsgFrom(append([][]byte{[]byte("<IDS|MSG>"), []byte(hex.EncodeToString(mac.Sum(nil)))}, frames...)...))
}
