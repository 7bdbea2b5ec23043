# SPDX-License-Identifier: Apache-2.0
aws_tests = tests/unit/aws/test_sigv4 tests/unit/aws/test_url tests/unit/aws/test_endpoint \
	tests/unit/aws/test_ini tests/unit/aws/test_profile tests/unit/aws/test_settings \
	tests/unit/aws/test_cred_reply tests/unit/aws/test_cred tests/unit/aws/test_cred_chain \
	tests/unit/aws/test_cred_webid tests/unit/aws/test_cred_container
check_PROGRAMS += $(aws_tests)
TESTS += $(aws_tests)
tests_unit_aws_test_sigv4_SOURCES = %D%/test_sigv4.c %D%/aws_test.h
tests_unit_aws_test_sigv4_LDADD = $(LIBS_aws) $(CMOCKA_LIBS)
tests_unit_aws_test_url_SOURCES = %D%/test_url.c %D%/aws_test.h
tests_unit_aws_test_url_LDADD = $(LIBS_aws) $(CMOCKA_LIBS)
tests_unit_aws_test_endpoint_SOURCES = %D%/test_endpoint.c %D%/aws_test.h
tests_unit_aws_test_endpoint_LDADD = $(LIBS_aws) $(CMOCKA_LIBS)
tests_unit_aws_test_ini_SOURCES = %D%/test_ini.c %D%/aws_test.h
tests_unit_aws_test_ini_LDADD = $(LIBS_aws) $(CMOCKA_LIBS)
tests_unit_aws_test_profile_SOURCES = %D%/test_profile.c %D%/aws_test.h
tests_unit_aws_test_profile_LDADD = $(LIBS_aws) $(CMOCKA_LIBS)
tests_unit_aws_test_settings_SOURCES = %D%/test_settings.c %D%/aws_test.h
tests_unit_aws_test_settings_LDADD = $(LIBS_aws) $(CMOCKA_LIBS)
tests_unit_aws_test_cred_reply_SOURCES = %D%/test_cred_reply.c %D%/aws_test.h
tests_unit_aws_test_cred_reply_LDADD = $(LIBS_aws) $(CMOCKA_LIBS)
tests_unit_aws_test_cred_SOURCES = %D%/test_cred.c %D%/aws_test.h %D%/cred_test.h
tests_unit_aws_test_cred_LDADD = libtesthttpd.a $(LIBS_aws) $(CMOCKA_LIBS)
tests_unit_aws_test_cred_chain_SOURCES = %D%/test_cred_chain.c %D%/aws_test.h %D%/cred_test.h
tests_unit_aws_test_cred_chain_LDADD = libtesthttpd.a $(LIBS_aws) $(CMOCKA_LIBS)
tests_unit_aws_test_cred_webid_SOURCES = %D%/test_cred_webid.c %D%/aws_test.h %D%/cred_test.h
tests_unit_aws_test_cred_webid_LDADD = libtesthttpd.a $(LIBS_aws) $(CMOCKA_LIBS)
tests_unit_aws_test_cred_container_SOURCES = %D%/test_cred_container.c %D%/aws_test.h %D%/cred_test.h
tests_unit_aws_test_cred_container_LDADD = libtesthttpd.a $(LIBS_aws) $(CMOCKA_LIBS)
EXTRA_DIST += tests/vectors/sigv4/README.md
sigv4_vectors = tests/vectors/sigv4/cloudfront-path.vec tests/vectors/sigv4/doc-chunked-seed.vec \
	tests/vectors/sigv4/doc-get-lifecycle.vec tests/vectors/sigv4/doc-get-object.vec \
	tests/vectors/sigv4/doc-list-objects.vec tests/vectors/sigv4/doc-put-object.vec \
	tests/vectors/sigv4/s3-copy.vec tests/vectors/sigv4/s3-key-odd-bytes.vec \
	tests/vectors/sigv4/s3-key-percent.vec tests/vectors/sigv4/s3-key-slashes-and-dots.vec \
	tests/vectors/sigv4/s3-key-utf8.vec tests/vectors/sigv4/s3-list-order.vec \
	tests/vectors/sigv4/s3-multi-delete.vec tests/vectors/sigv4/s3-port.vec \
	tests/vectors/sigv4/s3-session-token.vec tests/vectors/sigv4/s3-unsigned-payload.vec \
	tests/vectors/sigv4/sts-post.vec tests/vectors/sigv4/suite-get-header-key-duplicate.vec \
	tests/vectors/sigv4/suite-get-header-value-order.vec \
	tests/vectors/sigv4/suite-get-header-value-trim.vec \
	tests/vectors/sigv4/suite-get-query-one.vec \
	tests/vectors/sigv4/suite-get-query-order-encoded.vec \
	tests/vectors/sigv4/suite-get-query-order-key-case.vec \
	tests/vectors/sigv4/suite-get-query-unreserved.vec \
	tests/vectors/sigv4/suite-get-query-utf8.vec \
	tests/vectors/sigv4/suite-get-relative-normalized.vec \
	tests/vectors/sigv4/suite-get-relative-relative-normalized.vec \
	tests/vectors/sigv4/suite-get-relative-relative-unnormalized.vec \
	tests/vectors/sigv4/suite-get-relative-unnormalized.vec \
	tests/vectors/sigv4/suite-get-slash-dot-slash-normalized.vec \
	tests/vectors/sigv4/suite-get-slash-dot-slash-unnormalized.vec \
	tests/vectors/sigv4/suite-get-slash-normalized.vec \
	tests/vectors/sigv4/suite-get-slash-pointless-dot-normalized.vec \
	tests/vectors/sigv4/suite-get-slash-pointless-dot-unnormalized.vec \
	tests/vectors/sigv4/suite-get-slash-unnormalized.vec \
	tests/vectors/sigv4/suite-get-slashes-normalized.vec \
	tests/vectors/sigv4/suite-get-slashes-unnormalized.vec \
	tests/vectors/sigv4/suite-get-space.vec tests/vectors/sigv4/suite-get-unreserved.vec \
	tests/vectors/sigv4/suite-get-utf8.vec tests/vectors/sigv4/suite-get-vanilla.vec \
	tests/vectors/sigv4/suite-post-header-value-case.vec \
	tests/vectors/sigv4/suite-post-query-one.vec tests/vectors/sigv4/suite-post-vanilla.vec
EXTRA_DIST += $(sigv4_vectors)
