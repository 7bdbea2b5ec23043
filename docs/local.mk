# SPDX-License-Identifier: Apache-2.0
dist_man_MANS += %D%/man/s3efs.8 %D%/man/mount.s3efs.8
dist_man_MANS += %D%/man/s3efs-fsck.8
dist_man_MANS += %D%/man/s3efs-compare.8
EXTRA_DIST += %D%/README.md %D%/design.md %D%/examples/fstab %D%/examples/s3efs-images.service
EXTRA_DIST += %D%/examples/s3efs@.service
EXTRA_DIST += %D%/performance.md
EXTRA_DIST += %D%/examples/s3efs-prices.json
