# SPDX-License-Identifier: Apache-2.0
http_tests = tests/unit/http/test_backoff \
	tests/unit/http/test_engine \
	tests/unit/http/test_gate \
	tests/unit/http/test_request \
	tests/unit/http/test_response \
	tests/unit/http/test_tls
check_PROGRAMS += $(http_tests)
TESTS += $(http_tests)
http_test_libs = libtesthttpd.a $(LIBS_http) $(CMOCKA_LIBS)
tests_unit_http_test_backoff_SOURCES = %D%/test_backoff.c
tests_unit_http_test_backoff_LDADD = $(LIBS_http) $(CMOCKA_LIBS)
tests_unit_http_test_engine_SOURCES = %D%/test_engine.c %D%/http_test.h
tests_unit_http_test_engine_LDADD = $(http_test_libs)
tests_unit_http_test_gate_SOURCES = %D%/test_gate.c
tests_unit_http_test_gate_LDADD = $(LIBS_http) $(CMOCKA_LIBS)
tests_unit_http_test_request_SOURCES = %D%/test_request.c %D%/http_test.h
tests_unit_http_test_request_LDADD = $(http_test_libs)
tests_unit_http_test_response_SOURCES = %D%/test_response.c %D%/http_test.h
tests_unit_http_test_response_LDADD = $(http_test_libs)
tests_unit_http_test_tls_SOURCES = %D%/test_tls.c %D%/http_test.h
tests_unit_http_test_tls_LDADD = libtesthttpd.a -lssl $(LIBS_http) $(CMOCKA_LIBS)
