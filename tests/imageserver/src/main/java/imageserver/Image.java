/* SPDX-License-Identifier: Apache-2.0 */
package imageserver;

/** One row of the image table. */
public record Image(long id, String name, String contentType, long size) {
}
