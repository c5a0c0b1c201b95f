import { defineConfig } from "vite";

// Nothing is inlined into the page and nothing comes from elsewhere: the server's policy allows its own files alone.
export default defineConfig({
  base: "./",
  build: { outDir: "../built", emptyOutDir: true, assetsInlineLimit: 0, chunkSizeWarningLimit: 4000, target: "es2022", modulePreload: { polyfill: false } },
});
