/* SPDX-License-Identifier: Apache-2.0 */
package imageserver;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

@SpringBootApplication
public class ImageServer {
    public static void main(String[] args) {
        SpringApplication.run(ImageServer.class, args);
    }
}
