"""The benchmark behind `so3krates benchmark`: systems, measurements in processes of their own, tables and plots."""
