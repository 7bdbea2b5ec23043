# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/control/test_socket
TESTS += tests/unit/control/test_socket
tests_unit_control_test_socket_SOURCES = %D%/test_socket.c
tests_unit_control_test_socket_LDADD = libcontrol.a $(LIBS_base) $(CMOCKA_LIBS)
