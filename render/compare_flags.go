package render

import (
	"path"
	"slices"
	"strings"
	"unicode"
)

// ParallelFlags split an engine, by the names that our renders use.
func ParallelFlags() []string {
	return []string{"--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size", "--expert-parallel-size"}
}

// longName is a flag's name in our renders: engines have short ones for some.
func longName(flag string) string {
	for i, short := range []string{"tp", "pp", "dp", "ep"} {
		if slices.Contains([]string{"-" + short, "--" + short, "--" + short + "-size"}, flag) {
			return ParallelFlags()[i]
		}
	}
	return flag
}

// flagsOf are the flags of the engine that a container starts, with their values; a
// flag without one is "set". A flag given twice counts as it is given last.
func flagsOf(container object) map[string]string {
	out := map[string]string{}
	line := startOf(container)
	for i := 0; i < len(line); i++ {
		if !startsFlag(line[i]) {
			continue
		}
		flag, value, joined := strings.Cut(line[i], "=")
		values := []string{value}
		if !joined {
			values = nil
			for i+1 < len(line) && !startsFlag(line[i+1]) {
				i++
				values = append(values, line[i])
			}
			if len(values) == 0 {
				values = []string{"set"}
			}
		}
		out[longName(flag)] = strings.Join(values, " ")
	}
	return out
}

func startsFlag(word string) bool {
	name := strings.TrimLeft(word, "-")
	return len(name) < len(word) && name != "" && unicode.IsLetter(rune(name[0]))
}

// startOf is the command line of a container after its Python module, which recipes
// also write into a shell's script.
func startOf(container object) []string {
	var words []string
	for _, key := range []string{"command", "args"} {
		list, _ := container[key].([]any)
		for _, item := range list {
			word, _ := item.(string)
			if len(words) > 0 && slices.Contains([]string{"sh", "bash"}, path.Base(words[0])) {
				words = append(words, shellWords(word)...)
				continue
			}
			words = append(words, word)
		}
	}
	module := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "dynamo.") })
	words = words[module+1:]
	if end := slices.IndexFunc(words, func(w string) bool { return slices.Contains([]string{";", "&&", "||", "|", "&"}, w) }); end >= 0 {
		words = words[:end]
	}
	return words
}

// shellWords splits a script as a shell does, without expanding anything; the end of
// a line is a word ";".
func shellWords(script string) []string {
	var words []string
	var word strings.Builder
	inWord := false
	var quote rune
	end := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	runes := []rune(script)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '\\' && quote != '\'' && i+1 < len(runes):
			i++
			if runes[i] != '\n' {
				word.WriteRune(runes[i])
				inWord = true
			}
		case quote != 0:
			if r == quote {
				quote = 0
				continue
			}
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == '\n' || r == ';':
			end()
			words = append(words, ";")
		case unicode.IsSpace(r):
			end()
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	end()
	return words
}
