# SPDX-License-Identifier: Apache-2.0
# Tests of the whole daemon on real servers; run by tools/check, not by "make check" (they need root).
EXTRA_DIST += %D%/README.md %D%/servers.sh %D%/run %D%/harness/README.md %D%/s3proxy/README.md
EXTRA_DIST += %D%/Counter.java %D%/locks.py
EXTRA_DIST += %D%/takeover.py
EXTRA_DIST += %D%/takeover_locks.py %D%/harness/living.py %D%/harness/locker.py
EXTRA_DIST += %D%/service.py
EXTRA_DIST += %D%/secrets.py
EXTRA_DIST += %D%/unprivileged.py
EXTRA_DIST += %D%/harness/__init__.py %D%/harness/case.py %D%/harness/mount.py %D%/harness/procs.py \
	%D%/harness/proxy.py %D%/harness/runner.py %D%/harness/s3.py %D%/harness/serve.py %D%/harness/servers.py
EXTRA_DIST += %D%/coldread.py
EXTRA_DIST += %D%/passthrough.py
EXTRA_DIST += %D%/access_points.py %D%/attributes.py %D%/basic.py %D%/between_mounts.py %D%/conformance.py %D%/close_to_open.py %D%/content_type.py %D%/credentials.py \
	%D%/endpoints.py %D%/foreign.py %D%/harness_proxy.py %D%/lifecycle.py %D%/links.py %D%/mapped.py %D%/mount_errors.py \
	%D%/mount_helper.py %D%/names.py %D%/one_put.py %D%/posix.py %D%/retries.py %D%/sparse.py %D%/sse.py %D%/tls.py %D%/workloads.py \
	%D%/write_errors.py %D%/xattrs.py

noinst_PROGRAMS += %D%/s3proxy/s3proxy
%C%_s3proxy_s3proxy_SOURCES = %D%/s3proxy/main.c %D%/s3proxy/relay.c %D%/s3proxy/relay.h \
	%D%/s3proxy/rules.c %D%/s3proxy/rules.h %D%/s3proxy/stats.c %D%/s3proxy/stats.h \
	%D%/s3proxy/kind.c %D%/s3proxy/kind.h %D%/s3proxy/wire.c %D%/s3proxy/wire.h

# make check-system: all of them; make check-system SYSTEM_ARGS="--backend file --only basic"
check-system: all
	$(top_srcdir)/tests/system/run --build $(top_builddir) $(SYSTEM_ARGS)
.PHONY: check-system

EXTRA_DIST += tests/data/README.md tests/data/bucket.png tests/data/sunset.jpg tests/data/sunset.webp
EXTRA_DIST += %D%/exclusive.py
EXTRA_DIST += %D%/big_rename.py
EXTRA_DIST += %D%/histories.py
EXTRA_DIST += %D%/booked.py
EXTRA_DIST += %D%/rename_crash.py
EXTRA_DIST += %D%/bad_days.py
EXTRA_DIST += %D%/signals.py
EXTRA_DIST += %D%/fsck.py
noinst_PROGRAMS += %D%/stormy
%C%_stormy_SOURCES = %D%/stormy.c
EXTRA_DIST += %D%/local.py
EXTRA_DIST += %D%/crash_points.py
EXTRA_DIST += %D%/harness/world.py
EXTRA_DIST += %D%/harness/buckets.py
EXTRA_DIST += %D%/limits.py
EXTRA_DIST += %D%/unsent_room.py
EXTRA_DIST += %D%/harness/watch.py
EXTRA_DIST += %D%/soak.py
EXTRA_DIST += %D%/soak/README.md
EXTRA_DIST += %D%/soak/__init__.py
EXTRA_DIST += %D%/soak/bucket.py
EXTRA_DIST += %D%/soak/control.py
EXTRA_DIST += %D%/soak/judge.py
EXTRA_DIST += %D%/soak/owner.py
EXTRA_DIST += %D%/soak/worker.py
EXTRA_DIST += %D%/power.py
EXTRA_DIST += %D%/bad_index.py
EXTRA_DIST += %D%/connections.py
EXTRA_DIST += %D%/compare.py
EXTRA_DIST += %D%/benchmark.py
