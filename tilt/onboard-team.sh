#!/bin/sh
# Applies a Team named $TEAM to the kind context given, or to the embedded platform where it is empty.
set -eu
context=${1:-}
team=${TEAM:?TEAM is empty: type the name of the team to onboard}
manifest=$(sed "s/^  name: .*/  name: $team/" deploy/examples/team-template.yaml)
if [ -n "$context" ]; then
  printf '%s\n' "$manifest" | kubectl --context "$context" apply -f -
else
  # On a line of its own, so that a platform that is down ends the script here.
  environment=$(cargo mlp env)
  eval "$environment"
  printf '%s\n' "$manifest" | kubectl apply -f -
fi
