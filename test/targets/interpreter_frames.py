# interpreter_frames.py: what the interpreter itself says of a stack.


def frames_from(frame):
    """[[function, file, line], …], leaf first."""
    frames = []
    while frame is not None:
        code = frame.f_code
        # Before 3.11 code doesn't know its class.
        frames.append([getattr(code, "co_qualname", code.co_name), code.co_filename, frame.f_lineno])
        frame = frame.f_back
    return frames
