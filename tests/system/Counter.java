/* SPDX-License-Identifier: Apache-2.0 */
/* java Counter.java FILE TIMES: adds one to the number in FILE, under FileChannel.lock(), so many times. */
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

public class Counter {
    static long read(FileChannel file) throws Exception {
        ByteBuffer bytes = ByteBuffer.allocate(32);
        int got = file.read(bytes, 0);
        return got <= 0 ? 0 : Long.parseLong(new String(bytes.array(), 0, got, StandardCharsets.US_ASCII).trim());
    }

    public static void main(String[] args) throws Exception {
        try (FileChannel file = FileChannel.open(Path.of(args[0]), StandardOpenOption.READ,
                                                 StandardOpenOption.WRITE, StandardOpenOption.CREATE)) {
            for (int n = Integer.parseInt(args[1]); n > 0; n--) {
                try (FileLock lock = file.lock()) {
                    file.write(ByteBuffer.wrap(String.format("%-10d", read(file) + 1).getBytes()), 0);
                }
            }
        }
    }
}
