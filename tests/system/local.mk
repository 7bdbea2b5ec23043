# SPDX-License-Identifier: Apache-2.0
# Tests of the whole daemon on real servers; run by tools/check, not by "make check" (they need root).
EXTRA_DIST += %D%/servers.sh
EXTRA_DIST += %D%/harness/__init__.py %D%/harness/procs.py %D%/harness/s3.py %D%/harness/serve.py \
	%D%/harness/servers.py
