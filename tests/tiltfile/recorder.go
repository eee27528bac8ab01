// Package tiltfile runs the repository's Tiltfile in the Starlark dialect that Tilt uses, with
// Tilt's built-ins recorded instead of carried out.
package tiltfile

import (
	"fmt"
	"os"
	"path/filepath"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// Call is one recorded call of a built-in; keyword arguments by name, positional ones as "0", "1", …
type Call struct {
	Name string
	Args map[string]starlark.Value
}

// Text returns an argument as a string, or its Starlark form where it is no string.
func (c Call) Text(name string) string {
	value, found := c.Args[name]
	if !found {
		return ""
	}
	if text, ok := starlark.AsString(value); ok {
		return text
	}
	return value.String()
}

// Recording is what a run of the Tiltfile declared.
type Recording struct {
	Calls    []Call
	root     string
	settings *starlark.Dict
}

// Of returns the calls of one built-in, in order.
func (r *Recording) Of(name string) []Call {
	var calls []Call
	for _, call := range r.Calls {
		if call.Name == name {
			calls = append(calls, call)
		}
	}
	return calls
}

// builtins that declare something and return nothing of interest.
var recorded = []string{
	"version_settings", "allow_k8s_contexts", "k8s_yaml", "k8s_resource", "local_resource", "docker_build",
	"config.define_string", "config.define_string_list",
	"docker_build_with_restart", "cmd_button",
}

// builtins whose value is passed on to others; the value keeps name and arguments.
var valued = []string{"kustomize", "link", "sync", "text_input"}

// Run executes root/Tiltfile with the arguments that `tilt up -- …` would have parsed.
func Run(root string, settings map[string]starlark.Value) (*Recording, error) {
	recording := &Recording{root: root, settings: starlark.NewDict(len(settings))}
	for key, value := range settings {
		if err := recording.settings.SetKey(starlark.String(key), value); err != nil {
			return nil, err
		}
	}
	_, err := recording.execute(filepath.Join(root, "Tiltfile"))
	return recording, err
}

// options are Tilt's: top-level control flow and set are allowed, recursion is too.
var options = &syntax.FileOptions{Set: true, While: true, TopLevelControl: true, GlobalReassign: true, Recursion: true}

func (r *Recording) execute(path string) (starlark.StringDict, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	thread := &starlark.Thread{Name: path, Load: func(_ *starlark.Thread, module string) (starlark.StringDict, error) {
		return r.load(path, module)
	}}
	return starlark.ExecFileOptions(options, thread, path, source, r.predeclared())
}

func (r *Recording) load(from, module string) (starlark.StringDict, error) {
	switch module {
	case "ext://restart_process":
		return starlark.StringDict{"docker_build_with_restart": r.record("docker_build_with_restart")}, nil
	case "ext://uibutton":
		return starlark.StringDict{
			"cmd_button": r.record("cmd_button"),
			"text_input": r.value("text_input"),
			"location": starlarkstruct.FromStringDict(starlark.String("location"),
				starlark.StringDict{"NAV": starlark.String("nav"), "RESOURCE": starlark.String("resource")}),
		}, nil
	}
	return r.execute(filepath.Join(filepath.Dir(from), module))
}

func (r *Recording) predeclared() starlark.StringDict {
	names := starlark.StringDict{
		"TRIGGER_MODE_MANUAL": starlark.String("manual"),
		"TRIGGER_MODE_AUTO":   starlark.String("auto"),
		"fail":                starlark.NewBuiltin("fail", fail),
		"config": starlarkstruct.FromStringDict(starlark.String("config"), starlark.StringDict{
			"define_string":      r.record("config.define_string"),
			"define_string_list": r.record("config.define_string_list"),
			"parse": starlark.NewBuiltin("config.parse",
				func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
					return r.settings, nil
				}),
		}),
	}
	for _, name := range recorded {
		names[name] = r.record(name)
	}
	for _, name := range valued {
		names[name] = r.value(name)
	}
	return names
}

func fail(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	text, _ := starlark.AsString(args.Index(0))
	return nil, fmt.Errorf("%s", text)
}

func (r *Recording) record(name string) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		r.Calls = append(r.Calls, Call{Name: name, Args: arguments(args, kwargs)})
		return starlark.None, nil
	})
}

func (r *Recording) value(name string) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		call := arguments(args, kwargs)
		r.Calls = append(r.Calls, Call{Name: name, Args: call})
		return starlarkstruct.FromStringDict(starlark.String(name), call), nil
	})
}

func arguments(args starlark.Tuple, kwargs []starlark.Tuple) starlark.StringDict {
	all := starlark.StringDict{}
	for index, value := range args {
		all[fmt.Sprintf("%d", index)] = value
	}
	for _, pair := range kwargs {
		name, _ := starlark.AsString(pair.Index(0))
		all[name] = pair.Index(1)
	}
	return all
}
