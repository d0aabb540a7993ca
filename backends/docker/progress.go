package docker

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/sandtree/sandtree/backends"
)

// progressPause is how often the log and Config.OnProgress hear of a pull: the engine says ten times a second how far each
// layer is.
const progressPause = 500 * time.Millisecond

// message is one of those that the engine streams while it pulls or builds.
type message struct {
	Status         string `json:"status"`
	ID             string `json:"id"`
	Stream         string `json:"stream"`
	Error          string `json:"error"`
	ProgressDetail struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
	Aux json.RawMessage `json:"aux"`
}

// follow reads messages to their end and tells of them. output, if not nil, hears each line of a build, and aux what a message
// carries besides.
func (d *Driver) follow(r io.Reader, p backends.Progress, output func(string), aux func(json.RawMessage)) (err error) {
	begun, told := time.Now(), time.Time{}
	layers := map[string][2]int64{}
	d.log.Info("an image is needed", "step", p.Step, "image", p.Image, "id", p.ID)
	defer func() {
		p.Ended, p.Err = true, err
		d.tell(p)
		d.log.Info("an image", "step", p.Step, "image", p.Image, "took", time.Since(begun), "bytes", p.Done, "err", err)
	}()
	for decoder := json.NewDecoder(r); ; {
		var m message
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch {
		case m.Error != "":
			return errors.New(m.Error)
		case aux != nil && m.Aux != nil:
			aux(m.Aux)
		}
		if m.Stream != "" { // each line of a build is worth telling
			if p.Text = strings.TrimSpace(m.Stream); p.Text != "" {
				d.tell(p)
				if output != nil {
					output(p.Text)
				}
				d.log.Debug("an image", "step", p.Step, "image", p.Image, "says", p.Text)
			}
			continue
		}
		if m.ProgressDetail.Total > 0 && m.Status == "Downloading" {
			layers[m.ID] = [2]int64{m.ProgressDetail.Current, m.ProgressDetail.Total}
		} else if l, ok := layers[m.ID]; ok {
			layers[m.ID] = [2]int64{l[1], l[1]}
		}
		p.Text, p.Done, p.Total = m.Status, 0, 0
		for _, l := range layers {
			p.Done, p.Total = p.Done+l[0], p.Total+l[1]
		}
		if time.Since(told) >= progressPause {
			told = time.Now()
			d.tell(p)
			d.log.Debug("an image", "step", p.Step, "image", p.Image, "says", p.Text, "bytes", p.Done, "of", p.Total)
		}
	}
}

func (d *Driver) tell(p backends.Progress) {
	if f := d.config.OnProgress; f != nil {
		f(p)
	}
}
