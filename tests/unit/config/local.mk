# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/config/test_options tests/unit/config/test_config tests/unit/config/test_mountpoint \
	tests/unit/config/list_options
TESTS += tests/unit/config/test_options tests/unit/config/test_config tests/unit/config/test_mountpoint
tests_unit_config_test_options_SOURCES = %D%/test_options.c
tests_unit_config_test_options_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fs
tests_unit_config_test_options_LDADD = libprog.a $(LIBS_base) $(CMOCKA_LIBS)
tests_unit_config_test_config_SOURCES = %D%/test_config.c
tests_unit_config_test_config_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fs
tests_unit_config_test_config_LDADD = libprog.a $(LIBS_base) $(CMOCKA_LIBS)
tests_unit_config_test_mountpoint_SOURCES = %D%/test_mountpoint.c
tests_unit_config_test_mountpoint_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fs
tests_unit_config_test_mountpoint_LDADD = libprog.a $(LIBS_base) $(CMOCKA_LIBS)
# For tests/lint/check_options.sh: the table's names, one a line.
tests_unit_config_list_options_SOURCES = %D%/list_options.c
tests_unit_config_list_options_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fs
tests_unit_config_list_options_LDADD = libprog.a $(LIBS_base)
dist_check_SCRIPTS += tests/lint/check_options.sh
TESTS += tests/lint/check_options.sh
check_PROGRAMS += tests/unit/config/test_memplan
TESTS += tests/unit/config/test_memplan
tests_unit_config_test_memplan_SOURCES = %D%/test_memplan.c
tests_unit_config_test_memplan_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fs
tests_unit_config_test_memplan_LDADD = libprog.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/config/test_holder
TESTS += tests/unit/config/test_holder
tests_unit_config_test_holder_SOURCES = %D%/test_holder.c fs/holder.c fs/hold.c fs/deaths.c fs/programs.c
tests_unit_config_test_holder_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_config_test_holder_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=fork -Wl,--wrap=umount2 -Wl,--wrap=poll \
	-Wl,--wrap=clock_boot_ns -Wl,--wrap=deaths_pause_ms
tests_unit_config_test_holder_LDADD = $(LIBS_base) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/config/test_handover
TESTS += tests/unit/config/test_handover
tests_unit_config_test_handover_SOURCES = %D%/test_handover.c fs/handover.c
tests_unit_config_test_handover_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_config_test_handover_LDADD = libprog.a $(LIBS_base) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/config/test_deaths
TESTS += tests/unit/config/test_deaths
tests_unit_config_test_deaths_SOURCES = %D%/test_deaths.c fs/deaths.c
tests_unit_config_test_deaths_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_config_test_deaths_LDADD = $(LIBS_base) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/config/test_run
TESTS += tests/unit/config/test_run
tests_unit_config_test_run_SOURCES = %D%/test_run.c fs/run.c
tests_unit_config_test_run_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_config_test_run_LDADD = $(LIBS_base) $(CMOCKA_LIBS)
