package instruments

import (
	"crypto/tls"
	"net/http"
)

// Defined is a metric of the table.
type Defined struct {
	Name, Kind, Help string
	Labels           []string
}

// Table is of all metrics of a System.
func Table() (all []Defined) {
	for _, m := range table {
		all = append(all, Defined{m.name, m.kind, m.help, m.labels})
	}
	return all
}

// Trust is for an endpoint of a test, whose certificate nobody has signed. It comes before anything is sent.
func (t *Traces) Trust(c *tls.Config) { t.post.client.Transport.(*http.Transport).TLSClientConfig = c }
