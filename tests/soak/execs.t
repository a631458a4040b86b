#!/bin/bash
# The long form of tests/box/many-exec.t.
MANY_EXECS=${SOAK_EXECS:-300} exec "$(dirname "$0")/../box/many-exec.t"
