#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Starts S3 servers on 127.0.0.1 with free ports, and runs a command with them, or waits for Ctrl-C:
#   servers.sh versitygw ceph -- COMMAND...
# The command finds S3EFS_TEST_VERSITYGW, S3EFS_TEST_CEPH, ... (endpoints) and AWS_ACCESS_KEY_ID,
# AWS_SECRET_ACCESS_KEY, AWS_REGION in its environment. Its exit status is passed on (77: a server's
# program is not installed). All that was started ends with it.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
PYTHONPATH="$here" PYTHONDONTWRITEBYTECODE=1 exec python3 -m harness.serve "$@"
