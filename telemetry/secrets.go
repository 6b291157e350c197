package telemetry

import (
	"net/url"
	"regexp"
	"strings"
)

// Secrets are texts that are shown nowhere.
type Secrets []string

// SecretsOf are the credentials in a URL.
func SecretsOf(address string) Secrets {
	var secrets Secrets
	if u, err := url.Parse(address); err == nil && u.User != nil {
		password, _ := u.User.Password()
		for _, secret := range []string{u.User.String(), password, url.QueryEscape(password)} {
			if secret != "" {
				secrets = append(secrets, secret)
			}
		}
	}
	return secrets
}

// What a text shows of credentials that nobody told us of.
var (
	userinfo      = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/\s'"]*(?:@|(…))`) // also one that an error cuts
	authorization = regexp.MustCompile(`(?i)\b(bearer|basic) [A-Za-z0-9._~+/=-]{16,}`)
	parameter     = regexp.MustCompile(`(?i)([?&][^=&\s]*(?:token|signature|secret|password|credential)[^=&\s]*=)[^&\s'"]+`)
)

// Redact takes credentials out of a text.
func (s Secrets) Redact(text string) string {
	text = userinfo.ReplaceAllString(text, "$1$2")
	text = authorization.ReplaceAllString(text, "$1 ***")
	text = parameter.ReplaceAllString(text, "$1***")
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}

// Event is the event without secrets.
func (s Secrets) Event(e Event) Event {
	for _, text := range []*string{&e.Text, &e.Error, &e.Request.Name, &e.Request.File} {
		*text = s.Redact(*text)
	}
	return e
}
