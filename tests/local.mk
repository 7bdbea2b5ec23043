# SPDX-License-Identifier: Apache-2.0
# Unit tests: one cmocka program for each source file, linked with its own layer and those below.
EXTRA_DIST += %D%/README.md %D%/lib/README.md %D%/model/README.md %D%/unit/README.md %D%/vectors/README.md %D%/tsan.supp
AM_TESTS_ENVIRONMENT = MALLOC_PERTURB_=73; export MALLOC_PERTURB_; \
	ASAN_OPTIONS=abort_on_error=0:detect_leaks=1; export ASAN_OPTIONS; \
	TSAN_OPTIONS="suppressions=$(abs_top_srcdir)/tests/tsan.supp"; export TSAN_OPTIONS; \
	top_srcdir='$(top_srcdir)'; export top_srcdir; top_builddir='$(top_builddir)'; export top_builddir;

include tests/lib/local.mk
include tests/lint/local.mk
include tests/system/local.mk
include tests/imageserver/local.mk
include tests/judges/local.mk
include tests/bench/local.mk
include tests/fuzz/local.mk
if HAVE_CMOCKA
include tests/unit/base/local.mk
include tests/unit/http/local.mk
include tests/unit/store/local.mk
include tests/unit/cache/local.mk
include tests/unit/aws/local.mk
include tests/unit/s3/local.mk
include tests/unit/data/local.mk
include tests/unit/upload/local.mk
include tests/unit/coord/local.mk
include tests/unit/check/local.mk
include tests/unit/compare/local.mk
include tests/unit/vfs/local.mk
include tests/unit/config/local.mk
include tests/unit/control/local.mk
include tests/unit/front/local.mk
include tests/model/local.mk
include tests/semantics/local.mk
endif
