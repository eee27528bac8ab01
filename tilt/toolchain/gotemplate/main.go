// Command gotemplate fills Go templates as Argo CD's ApplicationSet controller does: every text of a JSON
// value is a template of its own, with the functions of sprig but those that tell of the machine.
//
// It reads one JSON file, {"template": any, "parameters": [object...], "options": ["missingkey=error"]}, and
// prints a JSON list: the template filled for each object of parameters. What it cannot fill is said on
// standard error, with the place in the template.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"github.com/gosimple/slug"
	"sigs.k8s.io/yaml"
)

const version = "v0.1.1"

type input struct {
	Template   any              `json:"template"`
	Parameters []map[string]any `json:"parameters"`
	Options    []string         `json:"options"`
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println(version)
		return
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("usage: gotemplate FILE, or gotemplate version")
	}
	text, err := os.ReadFile(arguments[0])
	if err != nil {
		return err
	}
	var in input
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	filler := filler{functions: functions(), options: in.Options, parsed: map[string]*template.Template{}}
	filled := make([]any, 0, len(in.Parameters))
	for _, parameters := range in.Parameters {
		one, err := filler.fill("", in.Template, parameters)
		if err != nil {
			return err
		}
		filled = append(filled, one)
	}
	return json.NewEncoder(os.Stdout).Encode(filled)
}

// filler fills templates, each parsed once.
type filler struct {
	functions template.FuncMap
	options   []string
	parsed    map[string]*template.Template
}

func (f filler) fill(place string, value any, parameters map[string]any) (any, error) {
	switch value := value.(type) {
	case string:
		return f.text(place, value, parameters)
	case []any:
		filled := make([]any, len(value))
		for index, inner := range value {
			one, err := f.fill(fmt.Sprintf("%s[%d]", place, index), inner, parameters)
			if err != nil {
				return nil, err
			}
			filled[index] = one
		}
		return filled, nil
	case map[string]any:
		filled := make(map[string]any, len(value))
		for key, inner := range value {
			name, err := f.text(place, key, parameters)
			if err != nil {
				return nil, err
			}
			one, err := f.fill(strings.TrimPrefix(place+"."+key, "."), inner, parameters)
			if err != nil {
				return nil, err
			}
			filled[name] = one
		}
		return filled, nil
	default:
		return value, nil
	}
}

func (f filler) text(place, text string, parameters map[string]any) (filled string, err error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	// A function of sprig may panic where it is given what it does not expect.
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%s: %v", place, cause)
		}
	}()
	parsed, known := f.parsed[text]
	if !known {
		parsed, err = template.New(place).Option(f.options...).Funcs(f.functions).Parse(text)
		if err != nil {
			return "", err
		}
		f.parsed[text] = parsed
	}
	var out strings.Builder
	if err := parsed.Execute(&out, parameters); err != nil {
		return "", err
	}
	return out.String(), nil
}

func functions() template.FuncMap {
	all := sprig.TxtFuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(all, name)
	}
	all["normalize"] = normalize
	all["slugify"] = slugify
	all["toYaml"] = func(value any) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	all["fromYaml"] = func(text string) (map[string]any, error) {
		value := map[string]any{}
		return value, yaml.Unmarshal([]byte(text), &value)
	}
	all["fromYamlArray"] = func(text string) ([]any, error) {
		value := []any{}
		return value, yaml.Unmarshal([]byte(text), &value)
	}
	return all
}

var strange = regexp.MustCompile(`[^-a-z0-9.]`)

// normalize makes a name of any text: at most 253 characters that a DNS name may have.
func normalize(name string) string {
	name = strange.ReplaceAllString(strings.ToLower(name), "-")
	if len(name) > 253 {
		name = name[:253]
	}
	return strings.Trim(name, "-.")
}

// slugify takes a text, after the longest length (50) and whether to cut between words (yes), both optional.
func slugify(arguments ...any) (string, error) {
	longest, between, text := 50, true, ""
	for place, argument := range arguments {
		var fits bool
		switch place {
		case len(arguments) - 1:
			text, fits = argument.(string)
		case 0:
			longest, fits = argument.(int)
		case 1:
			between, fits = argument.(bool)
		}
		if !fits {
			return "", fmt.Errorf("slugify takes a length, true or false, and a text, the first two optional; not %v", argument)
		}
	}
	// The package keeps its settings for all calls; there is one at a time.
	slug.MaxLength, slug.EnableSmartTruncate = longest, between
	return slug.Make(normalize(text)), nil
}
