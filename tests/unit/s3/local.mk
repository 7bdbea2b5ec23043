# SPDX-License-Identifier: Apache-2.0
s3_tests = tests/unit/s3/test_body \
	tests/unit/s3/test_call \
	tests/unit/s3/test_call_replies \
	tests/unit/s3/test_call_signed \
	tests/unit/s3/test_checksum \
	tests/unit/s3/test_crc \
	tests/unit/s3/test_error \
	tests/unit/s3/test_list \
	tests/unit/s3/test_remove \
	tests/unit/s3/test_request \
	tests/unit/s3/test_response \
	tests/unit/s3/test_rfc2047 \
	tests/unit/s3/test_turn \
	tests/unit/s3/test_xml
check_PROGRAMS += $(s3_tests) tests/system/s3_conformance
TESTS += $(s3_tests) tests/system/s3_conformance
s3_test_libs = $(LIBS_s3) $(CMOCKA_LIBS)
s3_tests += tests/unit/s3/test_no_memory
tests_unit_s3_test_no_memory_SOURCES = %D%/test_no_memory.c
tests_unit_s3_test_no_memory_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_s3_test_no_memory_LDFLAGS = $(AM_LDFLAGS) $(BAD_ALLOC_WRAPS)
tests_unit_s3_test_no_memory_LDADD = $(LIBS_s3) libtestbadalloc.a $(LMDB_LIBS) $(CMOCKA_LIBS)
tests_unit_s3_test_body_SOURCES = %D%/test_body.c %D%/check.h %D%/fake_http.h
tests_unit_s3_test_body_LDADD = $(s3_test_libs)
tests_unit_s3_test_call_SOURCES = %D%/test_call.c %D%/callrig.h %D%/check.h %D%/rig.c %D%/rig.h
tests_unit_s3_test_call_LDADD = libtesthttpd.a -lssl $(s3_test_libs)
tests_unit_s3_test_call_replies_SOURCES = %D%/test_call_replies.c %D%/callrig.h %D%/check.h %D%/rig.c %D%/rig.h
tests_unit_s3_test_call_replies_LDADD = libtesthttpd.a -lssl $(s3_test_libs)
tests_unit_s3_test_call_signed_SOURCES = %D%/test_call_signed.c %D%/callrig.h %D%/check.h %D%/rig.c %D%/rig.h
tests_unit_s3_test_call_signed_LDADD = libtesthttpd.a -lssl $(s3_test_libs)
tests_unit_s3_test_checksum_SOURCES = %D%/test_checksum.c %D%/check.h
tests_unit_s3_test_checksum_LDADD = $(s3_test_libs)
tests_unit_s3_test_crc_SOURCES = %D%/test_crc.c %D%/check.h
tests_unit_s3_test_crc_LDADD = $(s3_test_libs)
tests_unit_s3_test_error_SOURCES = %D%/test_error.c %D%/check.h
tests_unit_s3_test_error_LDADD = $(s3_test_libs)
tests_unit_s3_test_list_SOURCES = %D%/test_list.c %D%/check.h %D%/fake_http.h
tests_unit_s3_test_list_LDADD = $(s3_test_libs)
tests_unit_s3_test_remove_SOURCES = %D%/test_remove.c %D%/check.h %D%/rig.c %D%/rig.h
tests_unit_s3_test_remove_LDADD = libtesthttpd.a -lssl $(s3_test_libs)
tests_unit_s3_test_request_SOURCES = %D%/test_request.c %D%/check.h
tests_unit_s3_test_request_LDADD = $(s3_test_libs)
tests_unit_s3_test_response_SOURCES = %D%/test_response.c %D%/check.h %D%/fake_http.h
tests_unit_s3_test_response_LDADD = $(s3_test_libs)
tests_unit_s3_test_rfc2047_SOURCES = %D%/test_rfc2047.c %D%/check.h
tests_unit_s3_test_rfc2047_LDADD = $(s3_test_libs)
tests_unit_s3_test_turn_SOURCES = %D%/test_turn.c %D%/check.h %D%/rig.c %D%/rig.h
tests_unit_s3_test_turn_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_s3_test_turn_LDADD = libtesthttpd.a -lssl $(s3_test_libs)
tests_unit_s3_test_xml_SOURCES = %D%/test_xml.c %D%/check.h
tests_unit_s3_test_xml_LDADD = $(s3_test_libs)
# The same conformance test as the other back ends, on a real server (it says how it wants to be told of one).
tests_system_s3_conformance_SOURCES = tests/system/s3_conformance.c
tests_system_s3_conformance_LDADD = libtest.a $(LIBS_s3)
EXTRA_DIST += tests/vectors/s3/bad-control.xml \
	tests/vectors/s3/bad-cut.xml \
	tests/vectors/s3/bad-deep.xml \
	tests/vectors/s3/bad-empty.xml \
	tests/vectors/s3/bad-entity-bomb.xml \
	tests/vectors/s3/bad-error-document.xml \
	tests/vectors/s3/bad-escape.xml \
	tests/vectors/s3/bad-external-entity.xml \
	tests/vectors/s3/bad-long-text.xml \
	tests/vectors/s3/bad-no-key.xml \
	tests/vectors/s3/bad-no-token.xml \
	tests/vectors/s3/bad-nul.xml \
	tests/vectors/s3/bad-other-document.xml \
	tests/vectors/s3/bad-size-overflow.xml \
	tests/vectors/s3/bad-size.xml \
	tests/vectors/s3/bad-time.xml \
	tests/vectors/s3/bad-utf8.xml \
	tests/vectors/s3/list-aws.xml \
	tests/vectors/s3/list-ceph-control.xml \
	tests/vectors/s3/list-empty.xml \
	tests/vectors/s3/list-unencoded.xml \
	tests/vectors/s3/uploads-aws.xml
