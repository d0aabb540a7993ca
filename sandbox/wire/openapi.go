package wire

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
)

// openAPI is docs/openapi.yaml as JSON, compressed: a program that does not serve it does not carry it.
//
//go:embed openapi.json.gz
var openAPI []byte

// OpenAPIGzip is the OpenAPI document of both forms as JSON, compressed with gzip. It must not be changed.
func OpenAPIGzip() []byte { return openAPI }

// OpenAPI is the OpenAPI document of both forms as JSON.
func OpenAPI() []byte {
	z, err := gzip.NewReader(bytes.NewReader(openAPI))
	if err != nil {
		panic(err) // it is ours
	}
	b, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	return b
}
