# SPDX-License-Identifier: Apache-2.0
# Outside test suites on mounts; run by tools/check, not by "make check" (they need root).
EXTRA_DIST += %D%/README.md %D%/run %D%/exceptions.txt %D%/judge.py %D%/archives.py %D%/fio.py %D%/fsx.py %D%/git.py \
	%D%/pjdfstest.py %D%/sqlite.py %D%/stress_ng.py %D%/together.py

# make check-judges; make check-judges JUDGES_ARGS="--backend file --only fsx"
check-judges: all
	$(top_srcdir)/tests/judges/run --build $(top_builddir) $(JUDGES_ARGS)
.PHONY: check-judges
