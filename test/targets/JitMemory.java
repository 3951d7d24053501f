import java.nio.ByteBuffer;

/** Allocates memory outside of Java's heap from methods that are compiled by then: 64 MiB are malloc's own mapping. */
public final class JitMemory {
    private static final int BYTES = 64 << 20;
    private static final int WARMUP = 20_000;

    private ByteBuffer kept;

    private static ByteBuffer grow(int bytes) {
        return ByteBuffer.allocateDirect(bytes);
    }

    private void fill(int bytes) {
        kept = grow(bytes);
    }

    public static void main(String[] arguments) throws Exception {
        JitMemory memory = new JitMemory();
        for (int call = 0; call < WARMUP; call++) {
            memory.fill(8);
        }
        System.out.println("READY " + ProcessHandle.current().pid());
        System.in.read();
        memory.fill(BYTES);
        System.out.println("done");
        while (System.in.read() >= 0) {}
        System.exit(memory.kept.capacity() == BYTES ? 0 : 1);
    }
}
