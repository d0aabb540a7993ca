package docker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"

	"github.com/sandtree/sandtree/sandbox"
)

// Auth are the credentials of a registry.
type Auth struct {
	Username string `koanf:"username"`
	Password string `koanf:"password"`
	Token    string `koanf:"token"` // an identity token, instead of the two
}

// auths are the credentials by registry: those of the configuration, and those of `docker login`, where that put them into
// a program that keeps them ("helper") instead of its file.
type auths struct {
	known   map[string]registry.AuthConfig
	helpers map[string]string // by registry
	helper  string            // of all others; "" none
}

// dockerHub is the name by which `docker login` knows the registry of images that name none.
const dockerHub = "https://index.docker.io/v1/"

// readAuths reads the file of `docker login`. That there is none is no error unless it was named.
func (c Config) readAuths() (auths, error) {
	a := auths{known: map[string]registry.AuthConfig{}}
	file := c.AuthFile
	if file == "" {
		dir := c.environ("DOCKER_CONFIG")
		if home := c.environ("HOME"); dir == "" && home != "" {
			dir = filepath.Join(home, ".docker")
		}
		if dir != "" {
			file = filepath.Join(dir, "config.json")
		}
	}
	if file != "" {
		err := a.read(file)
		if err != nil && (c.AuthFile != "" || !errors.Is(err, fs.ErrNotExist)) {
			return a, fmt.Errorf("auth_file: %w", err)
		}
	}
	for name, auth := range c.Auth {
		a.known[registryName(name)] = registry.AuthConfig{Username: auth.Username, Password: auth.Password,
			IdentityToken: auth.Token, ServerAddress: name}
	}
	return a, nil
}

func (a *auths) read(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var login struct {
		Auths map[string]struct {
			Auth          string `json:"auth"`
			IdentityToken string `json:"identitytoken"`
		} `json:"auths"`
		CredsStore  string            `json:"credsStore"`
		CredHelpers map[string]string `json:"credHelpers"`
	}
	if err := json.Unmarshal(b, &login); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for name, l := range login.Auths {
		both, err := base64.StdEncoding.DecodeString(l.Auth)
		if err != nil {
			return fmt.Errorf("%s: the entry of %s cannot be read", file, name)
		}
		user, password, _ := strings.Cut(strings.TrimRight(string(both), "\x00"), ":")
		if user == "" && l.IdentityToken == "" {
			continue // it is kept by the helper
		}
		a.known[registryName(name)] = registry.AuthConfig{Username: user, Password: password, IdentityToken: l.IdentityToken, ServerAddress: name}
	}
	a.helper, a.helpers = login.CredsStore, map[string]string{}
	for name, helper := range login.CredHelpers {
		a.helpers[registryName(name)] = helper
	}
	return nil
}

// registryName gives the host of a registry, whatever stands around it.
func registryName(name string) string {
	if name == dockerHub || name == "index.docker.io" || name == "registry-1.docker.io" {
		return "docker.io"
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
	name, _, _ = strings.Cut(name, "/")
	return name
}

// forImage gives the credentials for an image as the engine wants them; "" is none.
func (a auths) forImage(ctx context.Context, image string) (string, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", err
	}
	name := reference.Domain(named)
	auth, ok := a.known[name]
	helper := a.helpers[name]
	if helper == "" {
		helper = a.helper
	}
	if !ok && helper != "" {
		if auth, ok, err = askHelper(ctx, helper, name); err != nil {
			return "", err
		}
	}
	if !ok {
		return "", nil
	}
	return registry.EncodeAuthConfig(auth)
}

// askHelper asks docker-credential-NAME, as the docker program does.
func askHelper(ctx context.Context, helper, name string) (registry.AuthConfig, bool, error) {
	server := name
	if name == "docker.io" {
		server = dockerHub
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // it may have to ask a keyring, or a person
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker-credential-"+helper, "get")
	cmd.Stdin = strings.NewReader(server)
	out, err := cmd.Output()
	if strings.Contains(string(out), "credentials not found") {
		return registry.AuthConfig{}, false, nil
	}
	var got struct{ Username, Secret string }
	if err == nil {
		err = json.Unmarshal(out, &got)
	}
	if err != nil {
		return registry.AuthConfig{}, false, coded{sandbox.Denied, fmt.Errorf("docker-credential-%s, which keeps the credentials of %s: %w", helper, name, err)}
	}
	if got.Username == "<token>" {
		return registry.AuthConfig{IdentityToken: got.Secret, ServerAddress: server}, true, nil
	}
	return registry.AuthConfig{Username: got.Username, Password: got.Secret, ServerAddress: server}, true, nil
}
