import java.io.IOException;
import java.io.OutputStream;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** A Java program: garbage for the collector, direct buffers outside its heap, and threads that come and go. With `hold` it then waits for the end of its input. */
public final class Churn {
    private static final int ROUNDS = 200;
    private static final int BUFFER_BYTES = 1 << 20;
    private static final int KEPT_BUFFERS = 16;

    private static long allocate() {
        long total = 0;
        for (int i = 0; i < ROUNDS; ++i) {
            byte[] block = new byte[256 << 10];
            block[i] = 1;
            total += block.length;
        }
        return total;
    }

    public static void main(String[] arguments) throws InterruptedException, IOException {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 8; ++i) {
            Thread thread = new Thread(Churn::allocate, "churn-" + i);
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            thread.join();
        }
        List<ByteBuffer> kept = new ArrayList<>();
        for (int i = 0; i < KEPT_BUFFERS; ++i) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_BYTES);
            for (int at = 0; at < BUFFER_BYTES; at += 4096) {
                buffer.put(at, (byte) 1);
            }
            kept.add(buffer);
        }
        System.out.println("kept_bytes " + (long) kept.size() * BUFFER_BYTES);
        System.out.println("READY");
        if (arguments.length > 0 && arguments[0].equals("hold")) {
            System.in.transferTo(OutputStream.nullOutputStream());
            Reference.reachabilityFence(kept);
        }
    }
}
