#!/bin/sh
# Fills in the greeting on stdin: render.sh WHO
set -eu
sed "s/@WHO@/$1/g"
