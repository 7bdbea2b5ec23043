#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which host a mount of s3://BUCKET asks, by environment, profile and options. Nothing leaves this machine: a proxy
on 127.0.0.1 writes down the host of each CONNECT and refuses it."""
import os
import socketserver
import threading

from harness import mount, procs
from harness.case import check, equal, main, write_file
from harness.mount import environment

BACKENDS = "none"


class Refuse(socketserver.StreamRequestHandler):
    def handle(self):
        words = self.rfile.readline().decode("latin-1").split()
        while self.rfile.readline().strip():
            pass
        self.server.asked.append(words[1])
        self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


def asked_by(rig, env, **opts):
    """The host that the first request of a mount wants to reach."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refuse) as proxy:
        proxy.asked = []
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{proxy.server_address[1]}"
        env = {k: v for k, v in env.items() if k.lower() not in ("http_proxy", "all_proxy", "no_proxy")}
        env.update(HTTPS_PROXY=url, https_proxy=url)
        os.makedirs(rig.path("mnt"), exist_ok=True)
        p = procs.start(mount.command("s3://images", rig.path("mnt"), rig.options(**opts), "-f"), rig.path("log"), env=env)
        try:
            procs.wait_for(lambda: proxy.asked or p.poll() is not None, "CONNECT at the proxy")
        finally:
            procs.end(p)
            mount.force_unmount(rig.path("mnt"))
            proxy.shutdown()
        return proxy.asked[0] if proxy.asked else None


@check("without anything: Amazon S3 in us-east-1, the bucket in the host name")
def nothing(rig):
    equal(asked_by(rig, environment(AWS_REGION="")), "images.s3.us-east-1.amazonaws.com:443")


@check("region= goes before AWS_REGION, that before AWS_DEFAULT_REGION; path_style takes the bucket from the name")
def region(rig):
    env = environment(AWS_DEFAULT_REGION="eu-west-3", AWS_REGION="")
    equal(asked_by(rig, env), "images.s3.eu-west-3.amazonaws.com:443")
    env["AWS_REGION"] = "eu-west-2"
    equal(asked_by(rig, env), "images.s3.eu-west-2.amazonaws.com:443")
    equal(asked_by(rig, env, region="eu-central-1"), "images.s3.eu-central-1.amazonaws.com:443")
    equal(asked_by(rig, env, path_style=True), "s3.eu-west-2.amazonaws.com:443")


@check("AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT")
def fips_and_dualstack(rig):
    fips, dual = {"AWS_USE_FIPS_ENDPOINT": "true"}, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}
    equal(asked_by(rig, environment(**fips)), "images.s3-fips.us-east-1.amazonaws.com:443")
    equal(asked_by(rig, environment(**dual)), "images.s3.dualstack.us-east-1.amazonaws.com:443")
    equal(asked_by(rig, environment(**fips, **dual)), "images.s3-fips.dualstack.us-east-1.amazonaws.com:443")


@check("region and endpoint_url of a profile in ~/.aws/config; the environment and the options go before them")
def profile(rig):
    os.makedirs(rig.path("home/.aws"))
    write_file(rig.path("home/.aws/config"), "[profile team]\nregion = eu-north-1\n"
               "[profile other]\nregion = eu-north-1\nendpoint_url = https://s3.team.example\n")
    env = environment(HOME=rig.path("home"), AWS_REGION="")
    del env["AWS_CONFIG_FILE"], env["AWS_SHARED_CREDENTIALS_FILE"], env["AWS_ACCESS_KEY_ID"]
    write_file(rig.path("home/.aws/credentials"), "[team]\naws_access_key_id = a\naws_secret_access_key = b\n"
               "[other]\naws_access_key_id = a\naws_secret_access_key = b\n")
    equal(asked_by(rig, env, profile="team"), "images.s3.eu-north-1.amazonaws.com:443")
    equal(asked_by(rig, dict(env, AWS_PROFILE="other")), "s3.team.example:443")
    equal(asked_by(rig, dict(env, AWS_ENDPOINT_URL_S3="https://s3.env.example"), profile="other"), "s3.env.example:443")
    equal(asked_by(rig, dict(env, AWS_ENDPOINT_URL="https://all.example"), profile="other"), "all.example:443")
    equal(asked_by(rig, dict(env, AWS_ENDPOINT_URL="https://all.example"), profile="other",
                   endpoint="https://s3.option.example"), "s3.option.example:443")


if __name__ == "__main__":
    main()
