{
  "targets": [
    {
      "target_name": "offheap",
      "sources": [
        "native/addon/addon.cc",
        "native/addon/channel_file.cc",
        "native/addon/channel_object.cc",
        "native/addon/clock.cc",
        "native/addon/guarded_page.cc",
        "native/addon/heap_columns.cc",
        "native/addon/heap_drain.cc",
        "native/addon/heap_ledger.cc",
        "native/addon/heap_live_blocks.cc",
        "native/addon/heap_object.cc",
        "native/addon/heap_overlay.cc",
        "native/addon/heap_reader.cc",
        "native/addon/heap_sites.cc",
        "native/addon/heap_windows.cc",
        "native/addon/kernel_view.cc",
        "native/addon/layout_data.cc",
        "native/addon/memory_map.cc",
        "native/addon/residency.cc",
        "native/addon/ring_reader.cc",
      ],
      "include_dirs": ["."],
      # As system headers: our warnings are errors, theirs are not ours to mend.
      "cflags_cc": [
        "-std=c++20", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wundef", "-Werror",
        "-isystem", "<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")",
      ],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-O3"],
      "defines": ["NAPI_VERSION=8", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED"],
    },
  ],
}
