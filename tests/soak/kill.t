#!/bin/bash
# The long form of tests/box/kill.t: each step is one at which somebody dies.
KILL_EVERY=${KILL_EVERY:-1} exec "$(dirname "$0")/../box/kill.t"
