from understudy_runtime.file_modules import find_file_modules

find_file_modules()
