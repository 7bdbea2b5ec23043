/* SPDX-License-Identifier: Apache-2.0 */
package imageserver;

import java.util.Optional;
import org.springframework.jdbc.core.simple.JdbcClient;
import org.springframework.jdbc.support.GeneratedKeyHolder;
import org.springframework.stereotype.Repository;

/** The metadata of the images; their bytes are files. */
@Repository
public class ImageRepository {
    private final JdbcClient db;

    public ImageRepository(JdbcClient db) {
        this.db = db;
    }

    public Image insert(String name, String contentType, long size) {
        var key = new GeneratedKeyHolder();
        db.sql("INSERT INTO image (name, content_type, size) VALUES (?, ?, ?)")
                .params(name, contentType, size)
                .update(key, "id");
        return new Image(key.getKeyAs(Long.class), name, contentType, size);
    }

    public Optional<Image> find(long id) {
        return db.sql("SELECT id, name, content_type, size FROM image WHERE id = ?")
                .param(id)
                .query(Image.class)
                .optional();
    }

    public void delete(long id) {
        db.sql("DELETE FROM image WHERE id = ?").param(id).update();
    }
}
