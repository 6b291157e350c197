package profile

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable writes to w what a terminal or a log shows and does not obey: a control
// character, such as the escape of a sequence in a file's name, is written as Go and JSON
// spell it, \u001b. Lines and tabs stay.
func Printable(w io.Writer) io.Writer {
	return printable{w}
}

// OneLine is a name of a file or a field as it stands in a message: quoted where it has
// control characters, as a name of two lines would read as two messages.
func OneLine(name string) string {
	if strings.ContainsFunc(name, unicode.IsControl) {
		return strconv.Quote(name)
	}
	return name
}

type printable struct{ w io.Writer }

func (p printable) Write(data []byte) (int, error) {
	if _, err := io.WriteString(p.w, spelled(string(data))); err != nil {
		return 0, err
	}
	return len(data), nil
}

func spelled(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if r == '\n' || r == '\t' || !unicode.IsControl(r) {
			b.WriteString(text[:size])
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		text = text[size:]
	}
	return b.String()
}
