package tiltfile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

const root = "../.."

var services = []string{"team-isolation", "provisioner", "gitops-sync", "cost-attribution", "health-monitor"}

func run(t *testing.T, settings map[string]starlark.Value) *Recording {
	t.Helper()
	recording, err := Run(root, settings)
	if err != nil {
		t.Fatal(err)
	}
	return recording
}

func names(calls []Call, argument string) []string {
	var all []string
	for _, call := range calls {
		all = append(all, call.Text(argument))
	}
	return all
}

func TestKindBuildsLoadsAndForwardsEachService(t *testing.T) {
	recording := run(t, nil)
	if got := names(recording.Of("k8s_resource"), "0"); !slices.Equal(got, append([]string{"nats", "jaeger", "prometheus"}, services...)) {
		t.Errorf("resources in the cluster: %v", got)
	}
	ports := map[string]bool{}
	for _, resource := range recording.Of("k8s_resource") {
		forward := resource.Text("port_forwards")
		if ports[forward] {
			t.Errorf("%s forwards %s, which is taken", resource.Text("0"), forward)
		}
		ports[forward] = true
		if resource.Text("links") == "" {
			t.Errorf("%s has no link", resource.Text("0"))
		}
	}
	for index, image := range recording.Of("docker_build_with_restart") {
		if image.Text("0") != "mlp/"+services[index] || !strings.Contains(image.Text("live_update"), "target/debug/mlp-"+services[index]) {
			t.Errorf("image %d is %v", index, image)
		}
		if _, err := os.Stat(filepath.Join(root, image.Text("dockerfile"))); err != nil {
			t.Error(err)
		}
	}
	if len(recording.Of("docker_build_with_restart")) != len(services) {
		t.Error("not every service has an image")
	}
}

func TestTheManifestsThatKindLoadsAreThere(t *testing.T) {
	for _, call := range run(t, nil).Of("kustomize") {
		if _, err := os.Stat(filepath.Join(root, call.Text("0"), "kustomization.yaml")); err != nil {
			t.Error(err)
		}
	}
}

func TestEmbeddedRestartsProcessesAndNeedsNoCluster(t *testing.T) {
	recording := run(t, map[string]starlark.Value{"cluster": starlark.String("embedded")})
	if calls := recording.Of("k8s_yaml"); len(calls) != 0 {
		t.Errorf("manifests for a cluster: %v", calls)
	}
	local := names(recording.Of("local_resource"), "0")
	if want := append(append([]string{"platform", "events"}, services...), "test-fast"); !slices.Equal(local, want) {
		t.Errorf("local resources: %v", local)
	}
	for _, call := range recording.Of("local_resource") {
		for _, dependency := range dependencies(t, call) {
			if _, err := os.Stat(filepath.Join(root, dependency)); err != nil {
				t.Errorf("%s watches what is not there: %v", call.Text("0"), err)
			}
		}
	}
}

func dependencies(t *testing.T, call Call) []string {
	t.Helper()
	list, found := call.Args["deps"].(*starlark.List)
	if !found {
		return nil
	}
	var paths []string
	for index := range list.Len() {
		path, _ := starlark.AsString(list.Index(index))
		paths = append(paths, path)
	}
	return paths
}

func TestButtonsForTestsAndOnboarding(t *testing.T) {
	recording := run(t, map[string]starlark.Value{"cluster": starlark.String("embedded")})
	if got := names(recording.Of("cmd_button"), "text"); !slices.Equal(got, []string{"mlp test", "onboard a team"}) {
		t.Errorf("buttons: %v", got)
	}
}

func TestOnlyTheLocalKindContextIsAllowed(t *testing.T) {
	if got := run(t, nil).Of("allow_k8s_contexts")[0].Text("0"); got != `["kind-mlp"]` {
		t.Errorf("allowed contexts: %s", got)
	}
}

func TestWrongArgumentsAreRefusedByName(t *testing.T) {
	for _, settings := range []map[string]starlark.Value{
		{"cluster": starlark.String("minikube")},
		{"services": starlark.NewList([]starlark.Value{starlark.String("billing")})},
	} {
		_, err := Run(root, settings)
		if err == nil || !(strings.Contains(err.Error(), "minikube") || strings.Contains(err.Error(), "billing")) {
			t.Errorf("%v: %v", settings, err)
		}
	}
}
