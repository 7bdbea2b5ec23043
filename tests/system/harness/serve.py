# SPDX-License-Identifier: Apache-2.0
"""servers.sh: runs a command with S3 servers beside it."""
import os
import signal
import subprocess
import sys

from . import procs, servers


def main(argv):
    names, command = argv, []
    if "--" in argv:
        names, command = argv[:argv.index("--")], argv[argv.index("--") + 1:]
    unknown = [n for n in names if n not in servers.KINDS]
    if unknown or not names:
        print(f"usage: servers.sh {{{'|'.join(servers.KINDS)}}}... [-- COMMAND...]", file=sys.stderr)
        return 2
    procs.setup()
    env = dict(os.environ, AWS_ACCESS_KEY_ID=servers.ACCESS, AWS_SECRET_ACCESS_KEY=servers.SECRET,
               AWS_REGION="us-east-1")
    for name in names:
        try:
            server = servers.get(name)
        except servers.Missing as e:
            print(f"SKIP: {name}: {e}", file=sys.stderr)
            return 77
        procs.at_exit(server.stop)
        env[servers.env_name(name)] = server.endpoint
        print(f"{servers.env_name(name)}={server.endpoint}", flush=True)
    if not command:
        print(f"AWS_ACCESS_KEY_ID={servers.ACCESS} AWS_SECRET_ACCESS_KEY={servers.SECRET} "
              "AWS_REGION=us-east-1\nCtrl-C ends them.", flush=True)
        signal.pause()
    return subprocess.run(command, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
