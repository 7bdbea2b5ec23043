# SPDX-License-Identifier: Apache-2.0
# Fuzz targets. An ordinary build links each with replay.c and runs it on its corpus; with --enable-fuzzers
# they are libFuzzer's programs, and `make fuzz` looks for new inputs (README.md).
EXTRA_DIST += %D%/README.md %D%/corpus
dist_check_SCRIPTS += %D%/run

fuzz_targets = tests/fuzz/fuzz_str tests/fuzz/fuzz_dir_key tests/fuzz/fuzz_dir_meta \
	tests/fuzz/fuzz_schema tests/fuzz/fuzz_cred_reply tests/fuzz/fuzz_endpoint \
	tests/fuzz/fuzz_ini tests/fuzz/fuzz_s3_headers tests/fuzz/fuzz_s3_reply \
	tests/fuzz/fuzz_xml tests/fuzz/fuzz_marks tests/fuzz/fuzz_mime tests/fuzz/fuzz_objattr \
	tests/fuzz/fuzz_options tests/fuzz/fuzz_wire tests/fuzz/fuzz_xattr
fuzz_targets += tests/fuzz/fuzz_link
fuzz_targets += tests/fuzz/fuzz_intent
fuzz_targets += tests/fuzz/fuzz_lockrec
fuzz_targets += tests/fuzz/fuzz_outrec
fuzz_targets += tests/fuzz/fuzz_keeplocks
fuzz_targets += tests/fuzz/fuzz_removerec
fuzz_targets += tests/fuzz/fuzz_survey
fuzz_targets += tests/fuzz/fuzz_line
fuzz_targets += tests/fuzz/fuzz_delete_reply
fuzz_targets += tests/fuzz/fuzz_mountstats
if FUZZERS
noinst_PROGRAMS += $(fuzz_targets)
TESTS += %D%/run
fuzz_main =
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
else
check_PROGRAMS += $(fuzz_targets)
TESTS += $(fuzz_targets)
fuzz_main = %D%/replay.c
fuzz_ldflags = $(AM_LDFLAGS)
endif
fuzz_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)

tests_fuzz_fuzz_str_SOURCES = %D%/fuzz_str.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_str_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_str_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_str_LDADD = $(LIBS_base)
tests_fuzz_fuzz_dir_key_SOURCES = %D%/fuzz_dir_key.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_dir_key_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_dir_key_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_dir_key_LDADD = $(LIBS_store)
tests_fuzz_fuzz_dir_meta_SOURCES = %D%/fuzz_dir_meta.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_dir_meta_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_dir_meta_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_dir_meta_LDADD = $(LIBS_store)
tests_fuzz_fuzz_schema_SOURCES = %D%/fuzz_schema.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_schema_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_schema_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_schema_LDADD = $(LIBS_cache)
tests_fuzz_fuzz_cred_reply_SOURCES = %D%/fuzz_cred_reply.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_cred_reply_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_cred_reply_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_cred_reply_LDADD = $(LIBS_aws)
tests_fuzz_fuzz_endpoint_SOURCES = %D%/fuzz_endpoint.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_endpoint_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_endpoint_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_endpoint_LDADD = $(LIBS_aws)
tests_fuzz_fuzz_ini_SOURCES = %D%/fuzz_ini.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_ini_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_ini_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_ini_LDADD = $(LIBS_aws)
tests_fuzz_fuzz_s3_headers_SOURCES = %D%/fuzz_s3_headers.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_s3_headers_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_s3_headers_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_s3_headers_LDADD = $(LIBS_s3)
tests_fuzz_fuzz_s3_reply_SOURCES = %D%/fuzz_s3_reply.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_s3_reply_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_s3_reply_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_s3_reply_LDADD = $(LIBS_s3)
tests_fuzz_fuzz_xml_SOURCES = %D%/fuzz_xml.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_xml_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_xml_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_xml_LDADD = $(LIBS_s3)
tests_fuzz_fuzz_marks_SOURCES = %D%/fuzz_marks.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_marks_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_marks_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_marks_LDADD = $(LIBS_upload)
tests_fuzz_fuzz_mime_SOURCES = %D%/fuzz_mime.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_mime_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_mime_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_mime_LDADD = $(LIBS_vfs)
tests_fuzz_fuzz_objattr_SOURCES = %D%/fuzz_objattr.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_objattr_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_objattr_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_objattr_LDADD = $(LIBS_vfs)
tests_fuzz_fuzz_options_SOURCES = %D%/fuzz_options.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_options_CPPFLAGS = $(fuzz_cppflags) -I$(top_srcdir)/fs
tests_fuzz_fuzz_options_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_options_LDADD = libprog.a $(LIBS_base)
tests_fuzz_fuzz_wire_SOURCES = %D%/fuzz_wire.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_wire_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_wire_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_wire_LDADD = libcontrol.a $(LIBS_base)
tests_fuzz_fuzz_xattr_SOURCES = %D%/fuzz_xattr.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_xattr_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_xattr_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_xattr_LDADD = $(LIBS_vfs)

# make fuzz [FUZZ_SECONDS=60] [FUZZ_ONLY="xml ini"]: each target for so long; what is found is in tests/fuzz/found
fuzz: $(fuzz_targets)
	$(top_srcdir)/tests/fuzz/run --seconds "$${FUZZ_SECONDS:-60}" $(FUZZ_ONLY)
.PHONY: fuzz
clean-local:
	rm -rf %D%/found %D%/grown
tests_fuzz_fuzz_link_SOURCES = %D%/fuzz_link.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_link_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_link_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_link_LDADD = $(LIBS_coord)
tests_fuzz_fuzz_intent_SOURCES = %D%/fuzz_intent.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_intent_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_intent_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_intent_LDADD = $(LIBS_coord)
tests_fuzz_fuzz_lockrec_SOURCES = %D%/fuzz_lockrec.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_lockrec_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_lockrec_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_lockrec_LDADD = $(LIBS_coord)
tests_fuzz_fuzz_keeplocks_SOURCES = %D%/fuzz_keeplocks.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_keeplocks_CPPFLAGS = $(fuzz_cppflags) -I$(top_srcdir)/fs/vfs
tests_fuzz_fuzz_keeplocks_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_keeplocks_LDADD = $(LIBS_vfs)
tests_fuzz_fuzz_outrec_SOURCES = %D%/fuzz_outrec.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_outrec_CPPFLAGS = $(fuzz_cppflags) -I$(top_srcdir)/fs/vfs
tests_fuzz_fuzz_outrec_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_outrec_LDADD = $(LIBS_vfs)
tests_fuzz_fuzz_removerec_SOURCES = %D%/fuzz_removerec.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_removerec_CPPFLAGS = $(fuzz_cppflags) -I$(top_srcdir)/fs/vfs
tests_fuzz_fuzz_removerec_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_removerec_LDADD = $(LIBS_vfs)
tests_fuzz_fuzz_survey_SOURCES = %D%/fuzz_survey.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_survey_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_survey_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_survey_LDADD = $(LIBS_check)
tests_fuzz_fuzz_line_SOURCES = %D%/fuzz_line.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_line_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_line_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_line_LDADD = libcontrol.a $(LIBS_base)
tests_fuzz_fuzz_delete_reply_SOURCES = %D%/fuzz_delete_reply.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_delete_reply_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_delete_reply_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_delete_reply_LDADD = $(LIBS_s3)
tests_fuzz_fuzz_mountstats_SOURCES = %D%/fuzz_mountstats.c %D%/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_mountstats_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_mountstats_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_mountstats_LDADD = $(LIBS_compare)
