# SPDX-License-Identifier: Apache-2.0
s3_tests = tests/unit/s3/test_checksum \
	tests/unit/s3/test_crc \
	tests/unit/s3/test_error \
	tests/unit/s3/test_rfc2047 \
	tests/unit/s3/test_xml
check_PROGRAMS += $(s3_tests)
TESTS += $(s3_tests)
s3_test_libs = $(LIBS_s3) $(CMOCKA_LIBS)
tests_unit_s3_test_checksum_SOURCES = %D%/test_checksum.c %D%/check.h
tests_unit_s3_test_checksum_LDADD = $(s3_test_libs)
tests_unit_s3_test_crc_SOURCES = %D%/test_crc.c %D%/check.h
tests_unit_s3_test_crc_LDADD = $(s3_test_libs)
tests_unit_s3_test_error_SOURCES = %D%/test_error.c %D%/check.h
tests_unit_s3_test_error_LDADD = $(s3_test_libs)
tests_unit_s3_test_rfc2047_SOURCES = %D%/test_rfc2047.c %D%/check.h
tests_unit_s3_test_rfc2047_LDADD = $(s3_test_libs)
tests_unit_s3_test_xml_SOURCES = %D%/test_xml.c %D%/check.h
tests_unit_s3_test_xml_LDADD = $(s3_test_libs)
