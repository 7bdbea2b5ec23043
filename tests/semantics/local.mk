# SPDX-License-Identifier: Apache-2.0
# docs/semantics.md against the ledger and the tests that its rows name.
check_PROGRAMS += tests/semantics/costs
tests_semantics_costs_SOURCES = %D%/costs.c %D%/costs.h %D%/measure.c %D%/ops.c %D%/ops_local.c %D%/ops_lock.c
tests_semantics_costs_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_semantics_costs_LDADD = libtestrig.a libtest.a $(LIBS_vfs)
dist_check_SCRIPTS += %D%/check
TESTS += %D%/check
# docs/reliability.md and the tests that its rows name.
dist_check_SCRIPTS += %D%/check_reliability
TESTS += %D%/check_reliability
EXTRA_DIST += %D%/README.md %D%/pages.py docs/semantics.md docs/reliability.md
EXTRA_DIST += docs/security.md
